"""A label map in memory that knows where it lies."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from uniseg_nets.io.files import atomic_path
from uniseg_nets.io.provenance import SEGMENTATION_ENDING
from uniseg_nets.quality.verdict import Verdict
from uniseg_nets.results.seg_nrrd import write_seg_nrrd
from uniseg_nets.transforms.export import nifti_label_map

__all__ = ["LabelMap"]


class LabelMap(np.ndarray):
    """A label map (x, y, z), uint8: a NumPy array that can be saved.

    What is computed from it, slices and masks for instance, is an array without a place of its own.

    Args:
        values: the label map.
        affine: (4, 4), voxels to RAS+ mm.
        labels: value -> name.
        source: the scan's file, whose header gives the further fields of geometry; or nothing, for an array.

    Attributes:
        affine, labels: as above; ``None`` for what was computed from a label map.
        verdict: on the case: ``verdict.word`` is ok, check or refused, ``verdict.sentences`` say why; ``None`` where
            none was given.
    """

    affine: NDArray[np.float64] | None
    labels: Mapping[int, str] | None
    verdict: Verdict | None

    def __new__(
        cls, values: NDArray[np.uint8], affine: NDArray[np.float64], labels: Mapping[int, str], source: str = ""
    ) -> LabelMap:
        found = values.view(cls)
        found.affine, found.labels, found._source = affine, dict(labels), Path(source)
        return found

    def __array_finalize__(self, of: Any) -> None:
        self.affine, self.labels, self.verdict, self._source = None, None, None, Path()

    def save(self, path: str | PathLike[str]) -> Path:
        """Writes it, whole or not at all: as NIfTI, or as a segmentation of 3D Slicer (``.seg.nrrd``).

        NIfTI has the affine, sform and qform codes of the scan; a segmentation the names of the labels, with colours.

        Raises:
            ValueError: another kind of file; the scan's own file; or a part of a label map, which has no place.
        """
        path = Path(path)
        if self.affine is None:
            raise ValueError("this array was computed from a label map and has no affine: save the label map itself")
        if not path.name.endswith((".nii.gz", ".nii", SEGMENTATION_ENDING)):
            raise ValueError(f"a label map is saved as .nii.gz, .nii or {SEGMENTATION_ENDING}, not as {path.name}")
        if path.exists() and self._source.is_file() and path.samefile(self._source):
            raise ValueError(f"{path} is the scan itself: choose another name")
        with atomic_path(path) as temporary:
            if path.name.endswith(SEGMENTATION_ENDING):
                write_seg_nrrd(np.asarray(self), self.affine, self.labels or {}, temporary)
            else:
                nib.save(nifti_label_map(np.asarray(self), self.affine, self._source), temporary)
        return path
