"""Reads MetaImage and NRRD files with ITK and checks their headers and their voxels.

ITK itself compares neither the checksum nor, in MetaImage, the size of compressed voxels, so that a changed bit gives
voxels that nobody wrote. It reads a header without voxel edges as 1 mm, and one without orientation as LPS.
"""

from __future__ import annotations

import gzip
import math
import re
import zlib
from collections.abc import Mapping
from pathlib import Path

import itk
import numpy as np
from monai.data import ITKReader
from monai.utils.enums import MetaKeys
from numpy.typing import NDArray

from uniseg_nets.io.provenance import voxel_files
from uniseg_nets.transforms.nifti import REMEDY

__all__ = ["read_itk"]

# A field of a header, "name = value" in MetaImage and "name: value" in NRRD, but not NRRD's user-defined "name:=value".
_FIELD = re.compile(r"\s*([\w ]+?)\s*(?::(?!=)|=)\s*(.*)")
# What ITK says of an edge of 0.
_ITK_SPACING = re.compile(r"Refusing to change spacing from .* to \[(.*)\]")
# The spaces of an NRRD header that ITK converts; coordinates in any other are taken as LPS.
_SPACES = {
    *("right-anterior-superior", "left-anterior-superior", "left-posterior-superior"),
    *("ras", "las", "lps"),
}
_ZLIB_OR_GZIP = 47  # as MetaImage reads them
_PIECE = 2**18  # bytes


def read_itk(file: Path) -> tuple[NDArray[np.float32], NDArray[np.float64], list[str]]:
    """Reads a MetaImage or NRRD file.

    Returns:
        The voxels (x, y, z) or (x, y, z, channel), the affine (4, 4), voxel (x, y, z) -> RAS+ mm, and sentences on what
        is doubtful about its orientation.

    Raises:
        ValueError: the file is of another kind or damaged, its voxels do not have the size that the header gives, or
            the header gives no voxel edges.
        PermissionError: it, or the file of its voxels, must not be read.
        RuntimeError: ITK cannot read it.
    """
    with file.open("rb"):  # ITK does not say why it cannot open a file
        pass
    about = itk.ImageIOFactory.CreateImageIO(str(file), itk.CommonEnums.IOFileMode_ReadMode)
    if about is None:
        raise ValueError(f"it is no MetaImage or NRRD file, or a part of one: {REMEDY}")
    about.SetFileName(str(file))
    about.ReadImageInformation()
    sizes = [about.GetDimensions(axis) for axis in range(about.GetNumberOfDimensions())]
    fields, end = _header(file)
    _refuse_unknown_edges(fields, min(3, len(sizes)))
    _refuse_unknown_size(fields)
    try:
        whole = _is_whole(file, fields, end, about.GetImageSizeInBytes())
    except FileNotFoundError as error:
        raise ValueError(f"its voxels are in {error.filename}, which does not exist: copy both files") from error
    except PermissionError:
        raise
    except (EOFError, OSError, ValueError, zlib.error) as error:
        raise ValueError(_damaged(sizes)) from error
    if not whole:
        raise ValueError(_damaged(sizes))
    try:
        image = itk.imread(str(file))
    except RuntimeError as error:
        spacing = _ITK_SPACING.search(str(error))
        if spacing is None:
            raise
        raise ValueError(f"its header gives voxels edges of {spacing[1]} mm (x, y, z): correct them") from error
    array, meta = ITKReader().get_data(image)
    array = np.array(array, dtype=np.float32)  # a copy: ITK owns the original
    affine = np.asarray(meta[MetaKeys.AFFINE], dtype=np.float64)
    if image.GetImageDimension() == 2:  # one slice
        array, affine = np.expand_dims(array, 2), np.insert(np.insert(affine, 2, 0, axis=0), 2, (0, 0, 1, 0), axis=1)
    return array, affine, _doubts(fields)


def _header(file: Path) -> tuple[dict[str, str], int]:
    """The fields of a header, with names in lower case without blanks, and the byte behind it."""
    fields: dict[str, str] = {}
    with file.open("rb") as stream:
        nrrd = stream.read(4) == b"NRRD"
        stream.seek(0)
        for line in stream:
            found = _FIELD.match(line.decode("latin-1"))
            if found:
                fields[found[1].lower().replace(" ", "")] = found[2].strip()
            if (nrrd and not line.strip()) or (not nrrd and "elementdatafile" in fields):
                break
        return fields, stream.tell()


def _refuse_unknown_edges(fields: Mapping[str, str], axes: int) -> None:
    """Refuses a header without the edges of a voxel along these axes."""
    if "encoding" in fields:
        numbers = [number for number in fields.get("spacings", "").split() if math.isfinite(float(number))]
        known, names = "spacedirections" in fields or len(numbers) >= axes, "space directions or spacings"
    else:
        known, names = "elementspacing" in fields or "elementsize" in fields, "ElementSpacing"
    if not known:
        raise ValueError(f"its header does not give the edges of a voxel in mm: write them into it ({names})")


def _refuse_unknown_size(fields: Mapping[str, str]) -> None:
    """Refuses compressed voxels behind a MetaImage header without their size: ITK begins to read at the header."""
    compressed = fields.get("compresseddata", "").lower().startswith("t")
    local = fields.get("elementdatafile", "").upper() == "LOCAL"
    if compressed and local and fields.get("compresseddatasize", "0") == "0":
        raise ValueError(f"its header does not give the size of its compressed voxels (CompressedDataSize): {REMEDY}")


def _is_whole(file: Path, fields: Mapping[str, str], end: int, expected: int) -> bool:
    """Whether the voxels are as many bytes as expected. Compressed ones are read, so that their checksum is compared.

    Raises:
        EOFError, OSError, zlib.error: compressed voxels are damaged.
        ValueError: a number of the header is none.
    """
    begin = max(0, int(fields.get("headersize", 0)))
    parts = [(path, begin) for path in voxel_files(file)] or [(file, begin or end)]
    if fields.get("encoding", "").lower() in ("gz", "gzip"):
        count = sum(_unzipped(*part) for part in parts)
        return count == expected or ("byteskip" in fields and count > expected)
    if fields.get("compresseddata", "").lower().startswith("t"):
        stored = int(fields.get("compresseddatasize", 0))
        sizes = [path.stat().st_size - begin for path, begin in parts]
        if not 0 <= stored <= min(sizes):
            return False
        return sum(_inflated(*part, stored or size) for part, size in zip(parts, sizes)) == expected
    if fields.get("encoding", "raw").lower() != "raw" or fields.get("binarydata", "true").lower().startswith("f"):
        return True  # text, which ITK reads number by number
    return sum(path.stat().st_size - begin for path, begin in parts) >= expected


def _unzipped(path: Path, begin: int) -> int:
    """The number of bytes in a gzip stream, which may have several members and begins at a byte of a file."""
    with path.open("rb") as file:
        file.seek(begin)
        with gzip.GzipFile(fileobj=file) as stream:
            return sum(map(len, iter(lambda: stream.read(_PIECE), b"")))


def _inflated(path: Path, begin: int, stored: int) -> int:
    """The number of bytes in a zlib or gzip stream of ``stored`` bytes, which begins at a byte of a file."""
    stream, count, left = zlib.decompressobj(_ZLIB_OR_GZIP), 0, stored
    with path.open("rb") as file:
        file.seek(begin)
        while not stream.eof:
            piece = file.read(min(_PIECE, left))
            if not piece:
                raise EOFError("the stream ends too early")
            left -= len(piece)
            count += len(stream.decompress(piece))
    return count


def _doubts(fields: Mapping[str, str]) -> list[str]:
    """What is doubtful about the orientation that a header gives."""
    if "encoding" in fields:
        space = fields.get("space", "").lower()
        told, what = (
            space in _SPACES and "spacedirections" in fields,
            f"of space {space!r}" if space else "without space",
        )
    else:
        told = any(name in fields for name in ("transformmatrix", "rotation", "orientation"))
        what = "without TransformMatrix"
    if told:
        return []
    return [f"A header {what} does not say how the patient lies: taken as LPS. See whether left and right are right."]


def _damaged(sizes: list[int]) -> str:
    return f"its {' x '.join(map(str, sizes))} voxels cannot be read, the file is damaged: {REMEDY}"
