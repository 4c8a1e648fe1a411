"""Writes a label map as a DICOM Segmentation that refers to its series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

from uniseg_nets.dicom.codes import category_and_type
from uniseg_nets.dicom.mark import EQUIPMENT, series_description
from uniseg_nets.dicom.slices import frames_of, present_values, read_slices
from uniseg_nets.io.files import atomic_path
from uniseg_nets.version import __version__

__all__ = ["write_dicom_seg"]

_CODE = hd.sr.CodedConcept("123109", "DCM", "Artificial Intelligence")


def write_dicom_seg(
    label: NDArray[np.uint8],
    affine: NDArray[np.float64],
    series: Sequence[str | PathLike[str]],
    names: Mapping[int, str],
    path: str | PathLike[str],
    mark: str = "",
    verdict: str = "",
) -> list[str]:
    """Writes a binary Segmentation, with one segment per class in the label map; returns their names.

    Args:
        label: (x, y, z) on the grid of the series.
        affine: (4, 4), voxel (x, y, z) -> RAS+ mm.
        series: files of the slices, in any order.
        names: value -> class, without the background.
        path: file to write.
        mark: ContentDescription, see :func:`~uniseg_nets.io.provenance.marked`.
        verdict: the verdict on the case, for the SeriesDescription.

    Raises:
        ValueError: if the label map has no foreground or another grid than the series, or the series lacks identifiers
            that a Segmentation must refer to.
    """
    slices = read_slices(series)
    frames = frames_of(label, affine, slices)
    present = present_values(frames, names, "DICOM Segmentation: it would have no frame")
    numbers = np.zeros(256, dtype=np.uint8)
    numbers[present] = np.arange(1, len(present) + 1)
    algorithm = hd.AlgorithmIdentificationSequence("UniSeg", _CODE, __version__)
    descriptions = []
    for number, value in enumerate(present, start=1):
        category, kind = category_and_type(names[value])
        descriptions.append(
            hd.seg.SegmentDescription(
                segment_number=number,
                segment_label=names[value],
                segmented_property_category=category,
                segmented_property_type=kind,
                algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
                algorithm_identification=algorithm,
                tracking_uid=hd.UID(),
                tracking_id=names[value],
            )
        )
    segmentation = hd.seg.Segmentation(
        source_images=slices,
        pixel_array=numbers[frames],
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=descriptions,
        series_instance_uid=hd.UID(),
        series_number=1000,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        **EQUIPMENT,
        device_serial_number="0",
        content_label="SEGMENTATION",
        specific_character_set="ISO_IR 192",
        content_description=mark or None,
        series_description=series_description(verdict, (names[value] for value in present)),
    )
    with atomic_path(Path(path)) as temporary:
        segmentation.save_as(temporary)
    return [names[value] for value in present]
