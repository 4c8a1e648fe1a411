"""NIfTI files by nibabel, whose headers are taken at their word or refused.

nibabel alone reads a voxel edge of 0 as 1 mm, leaves metres as they are, and drops the imaginary part of a number.
"""

from __future__ import annotations

import zlib
from os import PathLike
from typing import cast

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

__all__ = ["checked_affine", "open_nifti", "read_voxels"]

# Units of length by NIfTI's codes, in mm; other codes name none, and mean mm.
_UNITS = {1: ("metres", 1000.0), 3: ("micrometres", 0.001)}
# Voxel edges, mm, that a unit other than mm is believed for: some programs write one that they do not mean.
_SMALLEST, _LARGEST = 0.001, 100.0
_REMEDY = "copy or export it anew"


def open_nifti(file: str | PathLike[str]) -> tuple[nib.Nifti1Image, NDArray[np.float64]]:
    """A NIfTI file, its voxels not read yet, and its affine (4, 4), voxel (x, y, z) -> RAS+ mm.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a damaged file; as for :func:`checked_affine`; or a voxel edge that is not known.
    """
    try:
        scan = cast(nib.Nifti1Image, nib.load(file))
    except FileNotFoundError:
        raise
    except (ImageFileError, OSError, EOFError, zlib.error) as error:
        raise ValueError(f"it is no NIfTI file, or a part of one: {_REMEDY}") from error
    except (HeaderDataError, ArithmeticError, ValueError) as error:
        raise ValueError(f"its NIfTI header is damaged: {_REMEDY}") from error
    affine = checked_affine(scan)
    _refuse_unknown_edges(scan)
    return scan, affine


def read_voxels(scan: nib.Nifti1Image) -> NDArray[np.float32]:
    """The voxels of a NIfTI image, (x, y, z, ...), scaled as its header says.

    Raises:
        ValueError: the file ends before them, is damaged, or its header gives a size that no memory holds.
    """
    try:
        return np.asarray(scan.dataobj, dtype=np.float32)
    except (OSError, EOFError, zlib.error, ArithmeticError, ValueError, MemoryError) as error:
        size = " x ".join(map(str, scan.shape))
        raise ValueError(f"its {size} voxels cannot be read, the file is damaged: {_REMEDY}") from error


def checked_affine(scan: nib.spatialimages.SpatialImage) -> NDArray[np.float64]:
    """The affine (4, 4) of a NIfTI image, voxel (x, y, z) -> RAS+ mm, in mm whatever unit the header names.

    Raises:
        ValueError: no NIfTI image; colours, complex numbers, a voxel without a size, or a unit of length that cannot be
            meant.
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
    _refuse_no_size(edges[: len(scan.shape)], "sform or qform")
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
    _refuse_no_size(stored["pixdim"][1 : 1 + min(3, int(stored["dim"][0]))], "pixdim")


def _refuse_no_size(edges: NDArray[np.floating], field: str) -> None:
    """Refuses voxel edges that are 0 or no finite number.

    Args:
        edges: of the file's axes x, y, z, or of fewer; in any unit.
        field: of the header that gives them.
    """
    for axis, edge in zip("xyz", edges):
        if not np.isfinite(edge) or edge == 0:
            raise ValueError(f"its header gives voxels an edge of {edge:g} mm along axis {axis}: correct it ({field})")
