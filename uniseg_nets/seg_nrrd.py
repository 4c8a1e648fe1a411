"""Segmentations of 3D Slicer: one NRRD file with the names and colours of its segments.

Not ITK's writer alone: it knows no segments. Fields as in 3D Slicer's developer guide, "Segmentations", section
"Segmentation file format (.seg.nrrd)".
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import itk
import numpy as np
from numpy.typing import NDArray

from uniseg_nets.reports.preview import COLOURS

__all__ = ["write_seg_nrrd"]


def write_seg_nrrd(
    label: NDArray[np.uint8], affine: NDArray[np.float64], labels: Mapping[int, str], path: Path
) -> None:
    """Writes a label map as ``.seg.nrrd``.

    Args:
        label: (x, y, z).
        affine: (4, 4), voxels to RAS+ mm; any, sheared ones too.
        labels: value -> name; every name but that of 0 becomes a segment, found or not.
        path: the file, which ends in ``.seg.nrrd``.
    """
    image = itk.image_from_array(np.ascontiguousarray(label.T))  # ITK's arrays are (z, y, x)
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection(itk.matrix_from_array(lps[:3, :3] / spacing))
    image.SetOrigin(lps[:3, 3].tolist())
    fields = image.GetMetaDataDictionary()
    fields["Segmentation_ContainedRepresentationNames"] = "Binary labelmap|"
    fields["Segmentation_MasterRepresentation"] = "Binary labelmap"
    extent = " ".join(f"0 {size - 1}" for size in label.shape)
    for index, (value, name) in enumerate((value, name) for value, name in labels.items() if value):
        colour = COLOURS[index % len(COLOURS)]
        for key, text in {
            "ID": f"Segment_{value}",
            "Name": name,
            "Color": " ".join(f"{int(colour[i : i + 2], 16) / 255:.3f}" for i in (1, 3, 5)),
            "LabelValue": str(value),
            "Layer": "0",
            "Extent": extent,
        }.items():
            fields[f"Segment{index}_{key}"] = text
    itk.imwrite(image, str(path), compression=True)
