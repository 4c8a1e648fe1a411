"""The provenance of a result: the files of its scan, and the record beside it.

The one rule: a result belongs to a scan only if its record has the same files, with the same sizes and times, and the
same settings.
"""

from __future__ import annotations

import glob
import hashlib
import itertools
import json
import re
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import pydicom
from pydicom.errors import InvalidDicomError

from uniseg_nets.io.names import REDUCED_ENDINGS, REPORT_ENDING, SEGMENTATION_ENDING, STRUCTURES_ENDING

__all__ = [
    "MANUFACTURER",
    "NRRD_MARK",
    "dicom_mark",
    "is_result",
    "marked",
    "nrrd_mark",
    "read_record",
    "scan_identity",
    "voxel_files",
]

_CHANNEL = re.compile(r"(.+_)0000(\..+)")
# The fields of MetaImage and NRRD headers that name separate voxel files.
_DETACHED = re.compile(rb"^(?:ElementDataFile *=|data ?file:) *(.+)", re.MULTILINE | re.IGNORECASE)
# The first, last and step of a numbered series, behind its name.
_NUMBERS = re.compile(r"(\s+\d+){1,3}$")
_HEADERS = (".mhd", ".mha", ".nrrd")
_HEADER_BYTES = 65536
# They identify a DICOM object of this package, and the label map that it was made from.
MANUFACTURER = "UniSeg for MONAI"
_MARK = "label map "
# The same in the header of a segmentation for 3D Slicer.
NRRD_MARK = "UniSeg_LabelMap"
# File endings of results, and the key in the record beside them that identifies them.
_RESULTS = {
    ".nii.gz": "label_map",
    ".dcm": "label_map",
    SEGMENTATION_ENDING: "label_map",
    STRUCTURES_ENDING: "label_map",
    REPORT_ENDING: "label_map",
    "_mask.png": "mask",
    "_overlay.png": "mask",
    # Of a report's picture and reduced scan.
    **dict.fromkeys((".png", *REDUCED_ENDINGS), "classes"),
}


def scan_identity(image: str | PathLike[str] | Sequence[str | PathLike[str]]) -> list[dict[str, Any]]:
    """Identifies the files of a scan and their version.

    All files that a reader may use are included: the voxel files of a MetaImage or NRRD header, the files of a DICOM
    folder (with a DICOMDIR also those in sub-folders), and the siblings ``NAME_0001``, ... of a single ``NAME_0000``.

    Args:
        image: a file or DICOM folder, or one per channel.

    Returns:
        One entry per file or folder: ``path`` (absolute, links followed), number of ``files``, ``bytes``,
        ``modified_ns`` (of the newest), and ``listing_sha256`` over name, size and time of each file. A
        missing file has 0 files.
    """
    paths = [image] if isinstance(image, (str, PathLike)) else image
    return [_identity(Path(path).resolve(), alone=len(paths) == 1) for path in paths]


def _identity(path: Path, alone: bool) -> dict[str, Any]:
    files = {file: file.stat() for file in _files(path, alone) if file.is_file()}
    listing = [[str(file), stat.st_size, stat.st_mtime_ns] for file, stat in files.items()]
    return {
        "path": str(path),
        "files": len(files),
        "bytes": sum(stat.st_size for stat in files.values()),
        "modified_ns": max((stat.st_mtime_ns for stat in files.values()), default=0),
        "listing_sha256": hashlib.sha256(json.dumps(listing).encode()).hexdigest(),
    }


def _files(path: Path, alone: bool) -> Iterator[Path]:
    """The files that a reader may use for a path; ``alone`` if it is the only one of its case."""
    if path.is_dir():
        pattern = "**/*" if any(file.name.upper() == "DICOMDIR" for file in path.iterdir()) else "*"
        yield from sorted(file for file in path.glob(pattern) if not (file.name.startswith(".") or is_result(file)))
        return
    yield path
    yield from voxel_files(path)
    channel = _CHANNEL.fullmatch(path.name) if alone else None
    if channel:
        number = 1
        while (sibling := path.with_name(f"{channel[1]}{number:04d}{channel[2]}")).is_file():
            yield from _files(sibling, alone=False)
            number += 1


def voxel_files(header: Path) -> Iterator[Path]:
    """The separate voxel files of a MetaImage or NRRD header: one, a list, or a numbered series.

    Nothing is yielded for a file that holds its voxels itself.
    """
    if not (header.name.lower().endswith(_HEADERS) and header.is_file()):
        return
    with header.open("rb") as file:
        head = file.read(_HEADER_BYTES).split(b"\n\n")[0]
    match = _DETACHED.search(head)
    named = match[1].decode("utf-8", "replace").strip() if match else "LOCAL"
    if named.upper().startswith("LIST"):
        assert match is not None
        lines = header.read_bytes()[match.end() :].decode("utf-8", "replace").splitlines()
        yield from (header.parent / line.strip() for line in lines if line.strip())
    elif "%" in named:
        series = header.parent / _NUMBERS.sub("", named)
        yield from sorted(series.parent.glob(re.sub(r"%\d*d", "*", glob.escape(series.name))))
    elif named.upper() != "LOCAL":
        yield header.parent / named


def read_record(path: str | PathLike[str]) -> dict[str, Any] | None:
    """The record of this package in a JSON file; ``None`` if there is none."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    versions = content.get("versions") if isinstance(content, dict) else None
    return content if isinstance(versions, dict) and "uniseg_nets" in versions else None


def is_result(path: Path) -> bool:
    """Whether a file is a result of this package, that is whether a record beside it describes such a file."""
    for ending, key in _RESULTS.items():
        if path.name.endswith(ending):
            name = path.name.removesuffix(ending)
            record = read_record(path.with_name(f"{name}.json"))
            if record is not None and key in record:
                return True
    return False


def marked(fingerprint: str) -> str:
    """The text of a DICOM object (up to 64 characters) that holds the fingerprint of its label map.

    It is the ContentDescription, or in objects without one the ContributionDescription of this package.
    """
    return _MARK + fingerprint


def dicom_mark(path: str | PathLike[str]) -> str | None:
    """The fingerprint of the label map in a DICOM object; ``None`` if the file is not an object of this package."""
    tags = ["Manufacturer", "ContentDescription", "ContributingEquipmentSequence"]
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(tags))
    except (OSError, InvalidDicomError):
        return None
    if header.get("Manufacturer") != MANUFACTURER:
        return None
    contributions = [item.get("ContributionDescription") for item in header.get("ContributingEquipmentSequence") or []]
    texts = map(str, (header.get("ContentDescription"), *contributions))
    marks = [text for text in texts if text.startswith(_MARK)]
    return marks[0].removeprefix(_MARK) if marks else ""


def nrrd_mark(path: str | PathLike[str]) -> str | None:
    """Like :func:`dicom_mark`, for a segmentation for 3D Slicer. Its voxels are not read."""
    path = Path(path)
    if not path.is_file():
        return None
    begin = f"{NRRD_MARK}:=".encode()
    with path.open("rb") as file:
        if not file.readline().startswith(b"NRRD"):
            return None
        header = itertools.takewhile(bytes.strip, file)  # it ends with an empty line
        return next((line.removeprefix(begin).strip().decode() for line in header if line.startswith(begin)), None)
