"""A label map in memory, with its affine."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from uniseg_nets.io.files import atomic_path
from uniseg_nets.io.names import NIFTI_ENDINGS, SEGMENTATION_ENDING
from uniseg_nets.quality.verdict import Verdict
from uniseg_nets.results.seg_nrrd import write_seg_nrrd
from uniseg_nets.transforms.export import nifti_label_map

__all__ = ["LabelMap"]


class LabelMap(np.ndarray):
    """A label map (x, y, z), uint8: a NumPy array that can be saved.

    Arrays computed from it, such as slices and masks, have no affine.

    Args:
        values: (x, y, z), uint8.
        affine: (4, 4), voxel (x, y, z) -> RAS+ mm.
        labels: value -> name.
        source: file of the scan, whose header has further fields of geometry; empty for an array.

    Attributes:
        affine, labels: as above; ``None`` for arrays computed from a label map.
        verdict: the verdict on the case: ``verdict.word`` is ok, check or refused, ``verdict.sentences`` are the
            reasons; ``None`` if there is none.
    """

    affine: NDArray[np.float64] | None
    labels: Mapping[int, str] | None
    verdict: Verdict | None

    def __new__(
        cls, values: NDArray[np.uint8], affine: NDArray[np.float64], labels: Mapping[int, str], source: str = ""
    ) -> LabelMap:
        label_map = values.view(cls)
        label_map.affine, label_map.labels, label_map._source = affine, dict(labels), Path(source)
        return label_map

    def __array_finalize__(self, of: Any) -> None:
        self.affine, self.labels, self.verdict, self._source = None, None, None, Path()

    def save(self, path: str | PathLike[str]) -> Path:
        """Writes the label map as NIfTI or as a segmentation for 3D Slicer (``.seg.nrrd``), whole or not at all.

        NIfTI has the affine and the sform and qform codes of the scan. A segmentation has the names of the labels, with
        colours.

        Returns:
            The path.

        Raises:
            ValueError: if the file type is unknown, the path is the scan itself, or the array has no affine.
        """
        path = Path(path)
        if self.affine is None:
            raise ValueError("this array was computed from a label map and has no affine: save the label map itself")
        if not path.name.endswith((*NIFTI_ENDINGS, SEGMENTATION_ENDING)):
            raise ValueError(f"a label map is saved as .nii.gz, .nii or {SEGMENTATION_ENDING}, not as {path.name}")
        if path.exists() and self._source.is_file() and path.samefile(self._source):
            raise ValueError(f"{path} is the scan itself: choose another name")
        with atomic_path(path) as temporary:
            if path.name.endswith(SEGMENTATION_ENDING):
                write_seg_nrrd(np.asarray(self), self.affine, self.labels or {}, temporary)
            else:
                nib.save(nifti_label_map(np.asarray(self), self.affine, self._source), temporary)
        return path
