"""Opens NIfTI files with nibabel and checks their headers.

nibabel itself reads a voxel edge of 0 as 1 mm, ignores the unit metre, and drops the imaginary part of complex numbers.
"""

from __future__ import annotations

import gzip
import logging
import zlib
from functools import cache
from os import PathLike
from pathlib import Path
from typing import cast

import nibabel as nib
import numpy as np
from nibabel.affines import voxel_sizes
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from uniseg_nets.transforms.grid import same_grid

__all__ = ["REMEDY", "checked_affine", "open_nifti", "orientation_doubts", "read_voxels"]

logger = logging.getLogger(__name__)

# NIfTI's codes of length units other than mm, with their mm. Other codes are read as mm.
_UNITS = {1: ("metres", 1000.0), 3: ("micrometres", 0.001)}
# Range of plausible voxel edges in mm for units other than mm: some programs write a wrong unit.
_SMALLEST, _LARGEST = 0.001, 100.0
REMEDY = "copy or export it again"
_REST = 2**20  # bytes, of what follows the voxels
# An sform and a qform with axes less than 45 degrees and edges less than 1 % apart give the network the same input.
_NEAR, _EDGE = 0.7, 0.01


def open_nifti(file: str | PathLike[str]) -> tuple[nib.Nifti1Image, NDArray[np.float64]]:
    """Opens a NIfTI file without reading its voxels.

    Returns:
        The image, and its affine (4, 4), voxel (x, y, z) -> RAS+ mm.

    Raises:
        FileNotFoundError: if there is no such file.
        PermissionError: if it must not be read.
        ValueError: if the file is damaged or a voxel edge is unknown, or as for :func:`checked_affine`.
    """
    try:
        with Path(file).open("rb"):  # nibabel does not say why it cannot open a file
            pass
        scan = cast(nib.Nifti1Image, nib.load(file))
    except (FileNotFoundError, PermissionError):
        raise
    except (ImageFileError, OSError, EOFError, zlib.error) as error:
        raise ValueError(f"it is no NIfTI file, or a part of one: {REMEDY}") from error
    except (HeaderDataError, ArithmeticError, ValueError) as error:
        raise ValueError(f"its NIfTI header is damaged: {REMEDY}") from error
    affine = checked_affine(scan)
    _refuse_unknown_edges(scan)
    return scan, affine


def read_voxels(scan: nib.Nifti1Image) -> NDArray[np.float32]:
    """The voxels of a NIfTI image, (x, y, z, ...), scaled as its header says.

    A compressed file is read to its end, where its checksum stands: nibabel stops after the last voxel.

    Raises:
        ValueError: the file ends before them, is damaged, or its header gives a size that no memory holds.
    """
    file = scan.file_map["image"].filename
    try:
        if not (isinstance(scan, nib.Nifti1Image) and str(file).lower().endswith(".nii.gz")):
            return np.asarray(scan.dataobj, dtype=np.float32)
        with gzip.open(str(file)) as stream:
            voxels = np.asarray(type(scan).from_stream(stream).dataobj, dtype=np.float32)
            while stream.read(_REST):
                pass
        return voxels
    except (OSError, EOFError, zlib.error, ArithmeticError, ValueError, MemoryError) as error:
        size = " x ".join(map(str, scan.shape))
        raise ValueError(f"its {size} voxels cannot be read, the file is damaged: {REMEDY}") from error


def checked_affine(scan: nib.spatialimages.SpatialImage) -> NDArray[np.float64]:
    """The affine (4, 4) of a NIfTI image, voxel (x, y, z) -> RAS+ mm, converted from the header's unit.

    Raises:
        ValueError: if the image is not NIfTI, has colours or complex numbers, has a voxel edge of zero, or its unit of
            length is implausible.
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
    edges = voxel_sizes(affine)
    _refuse_no_size(edges[: len(scan.shape)], "sform or qform")
    if factor != 1.0 and (edges.min() < _SMALLEST or edges.max() > _LARGEST):
        raise ValueError(
            f"its header's unit of length is {unit}, so that voxels have edges of "
            f"{', '.join(f'{edge:g}' for edge in edges)} mm: correct the unit (xyzt_units)"
        )
    return affine


def orientation_doubts(scan: nib.Nifti1Image) -> list[str]:
    """Sentences on what is doubtful about the orientation in a NIfTI header; empty for nothing.

    That is a header without orientation, or one whose sform and qform turn, flip or scale the voxels differently. If
    the two only lie apart, as after a registration, a warning is logged: the network's input is the same.
    """
    sform, qform = scan.header.get_sform(coded=True)[0], _qform(scan.header)
    if sform is None and int(scan.header["qform_code"]) <= 0:
        return [
            "The header does not say how the patient lies (its sform and qform have code 0): taken as "
            f"{_axes(scan.affine)}. See whether left and right are right."
        ]
    if sform is None or qform is None or same_grid(qform, sform, (*scan.shape, 1)[:3]):
        return []
    edges = voxel_sizes(sform), voxel_sizes(qform)
    cosines = (sform[:3, :3] / edges[0] * (qform[:3, :3] / edges[1])).sum(axis=0)
    # A qform holds no shear. Of a tilted stack, some programs write the distance of the slices along their normal.
    heights = 1 / np.linalg.norm(np.linalg.pinv(sform[:3, :3]), axis=1)
    alike = [np.isclose(length, edges[1], rtol=_EDGE, atol=0) for length in (edges[0], heights)]
    if cosines.min() > _NEAR and np.logical_or(*alike).all():
        _say_apart(scan.get_filename())
        return []
    one, other = (
        f"{name} {_axes(affine)} with voxels of {' x '.join(f'{edge:.3g}' for edge in voxel_sizes(affine))} mm"
        for name, affine in (("sform", sform), ("qform", qform))
    )
    return [
        f"The header gives two orientations, {one} and {other}: the sform is used. See whether it is the right one."
    ]


@cache  # a scan is loaded in every epoch
def _say_apart(file: str | None) -> None:
    logger.warning("%s: its sform and qform place the voxels apart; the sform is used", file or "image")


def _axes(affine: NDArray[np.float64]) -> str:
    return "".join(nib.aff2axcodes(affine))


def _qform(header: nib.Nifti1Header) -> NDArray[np.float64] | None:
    """The qform (4, 4); ``None`` if it has code 0 or no rotation can be computed from it."""
    try:
        return cast("NDArray[np.float64] | None", header.get_qform(coded=True)[0])
    except (HeaderDataError, ArithmeticError, ValueError):
        return None


def _refuse_unknown_edges(scan: nib.Nifti1Image) -> None:
    """Refuses a header without sform whose voxel edges are 0 or negative."""
    if scan.header["sform_code"] > 0:
        return
    with scan.file_map["image"].get_prepare_fileobj("rb") as file:
        stored = type(scan.header).from_fileobj(file, check=False)  # with the check, 0 would have become 1
    _refuse_no_size(stored["pixdim"][1 : 1 + min(3, int(stored["dim"][0]))], "pixdim")


def _refuse_no_size(edges: NDArray[np.floating], field: str) -> None:
    """Refuses voxel edges that are 0, negative or no finite number.

    Args:
        edges: of the file's axes x, y, z, or of fewer; in any unit.
        field: of the header that gives them.
    """
    for axis, edge in zip("xyz", edges):
        if not np.isfinite(edge) or edge <= 0:
            raise ValueError(f"its header gives voxels an edge of {edge:g} mm along axis {axis}: correct it ({field})")
