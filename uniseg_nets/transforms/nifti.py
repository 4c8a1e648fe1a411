"""NIfTI files by nibabel, whose headers are taken at their word or refused.

nibabel alone reads a voxel edge of 0 as 1 mm, leaves metres as they are, and drops the imaginary part of a number.
"""

from __future__ import annotations

from os import PathLike
from typing import cast

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

__all__ = ["checked_affine", "open_nifti"]

# Units of length by NIfTI's codes, in mm; other codes name none, and mean mm.
_UNITS = {1: ("metres", 1000.0), 3: ("micrometres", 0.001)}
# Voxel edges, mm, that a unit other than mm is believed for: some programs write one that they do not mean.
_SMALLEST, _LARGEST = 0.001, 100.0


def open_nifti(file: str | PathLike[str]) -> tuple[nib.Nifti1Image, NDArray[np.float64]]:
    """A NIfTI file, its voxels not read yet, and its affine (4, 4), voxel (x, y, z) -> RAS+ mm.

    Raises:
        Exception: whatever nibabel raises of a damaged file.
        ValueError: as for :func:`checked_affine`; or a voxel edge that is not known.
    """
    scan = cast(nib.Nifti1Image, nib.load(file))
    affine = checked_affine(scan)
    _refuse_unknown_edges(scan)
    return scan, affine


def checked_affine(scan: nib.spatialimages.SpatialImage) -> NDArray[np.float64]:
    """The affine (4, 4) of a NIfTI image, voxel (x, y, z) -> RAS+ mm, in mm whatever unit the header names.

    Raises:
        ValueError: no NIfTI image; colours, complex numbers, or a unit of length that cannot be meant.
    """
    if not isinstance(scan, nib.Nifti1Image):
        raise ValueError(f"it is a {type(scan).__name__}, expected a volume")
    if scan.get_data_dtype().names:
        raise ValueError("it holds colours, expected one number per voxel: export it in grey values")
    if scan.get_data_dtype().kind == "c":
        raise ValueError("it holds complex numbers, expected real ones: export their magnitude")
    unit, factor = _UNITS.get(int(scan.header["xyzt_units"]) & 7, ("mm", 1.0))
    affine = np.asarray(scan.affine, dtype=np.float64).copy()
    affine[:3] *= factor
    edges = np.linalg.norm(affine[:3, :3], axis=0)
    if factor != 1.0 and (edges.min() < _SMALLEST or edges.max() > _LARGEST):
        raise ValueError(
            f"its header's unit of length is {unit}, so that voxels have edges of "
            f"{', '.join(f'{edge:g}' for edge in edges)} mm: correct the unit (xyzt_units)"
        )
    return affine


def _refuse_unknown_edges(scan: nib.Nifti1Image) -> None:
    """Refuses a header whose voxel edges have to be known, as it has no sform, and are 0."""
    if scan.header["sform_code"] > 0:
        return
    with scan.file_map["image"].get_prepare_fileobj("rb") as file:
        stored = type(scan.header).from_fileobj(file, check=False)  # with the check, 0 would have become 1
    edges = stored["pixdim"][1 : 1 + min(3, int(stored["dim"][0]))]
    if not edges.all():
        raise ValueError(f"its header gives voxel edges of {edges.tolist()} mm: correct them (pixdim)")
