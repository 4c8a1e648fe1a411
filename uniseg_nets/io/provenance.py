"""Where a result comes from: which files of a scan it was made of, and the record beside it that says so.

The one rule: a result counts as a scan's only where its record names the same files, of the same sizes and times, and
everything else that decided about it.
"""

from __future__ import annotations

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

__all__ = [
    "MANUFACTURER",
    "NRRD_MARK",
    "REPORT_ENDING",
    "SEGMENTATION_ENDING",
    "STRUCTURES_ENDING",
    "dicom_mark",
    "is_result",
    "marked",
    "nrrd_mark",
    "read_record",
    "scan_identity",
]

_CHANNEL = re.compile(r"(.+_)0000(\..+)")
# How MetaImage and NRRD headers name files of voxels beside them.
_DETACHED = re.compile(rb"^(?:ElementDataFile *=|data ?file:) *(.+)", re.MULTILINE | re.IGNORECASE)
_HEADERS = (".mhd", ".mha", ".nrrd")
_HEADER_BYTES = 65536
# By these a DICOM object of ours is known, and the label map that it was made of.
MANUFACTURER = "UniSeg for MONAI"
_MARK = "label map "
# The header's field of a segmentation of ours for 3D Slicer that says the same.
NRRD_MARK = "UniSeg_LabelMap"
# How segmentations of 3D Slicer end; whoever wrote them, they are no scans.
SEGMENTATION_ENDING = ".seg.nrrd"
# How our RT Structure Sets and Structured Reports end.
STRUCTURES_ENDING = ".rtstruct.dcm"
REPORT_ENDING = ".sr.dcm"
# How names of our files end, and the key of the record beside them that tells them from a user's.
_RESULTS = {
    ".nii.gz": "label_map",
    ".dcm": "label_map",
    SEGMENTATION_ENDING: "label_map",
    STRUCTURES_ENDING: "label_map",
    REPORT_ENDING: "label_map",
    "_mask.png": "mask",
    "_overlay.png": "mask",
    ".png": "classes",  # a report's picture
}


def scan_identity(image: str | PathLike[str] | Sequence[str | PathLike[str]]) -> list[dict[str, Any]]:
    """What tells a scan's files from any others, and from their own earlier and later versions.

    All files count that a reader may take for the scan: of a MetaImage or NRRD header the voxels beside it, of a DICOM
    folder the files in it (with a DICOMDIR also those below), of ``NAME_0000`` alone its siblings ``NAME_0001``, ...

    Args:
        image: a file or DICOM folder, or one for each channel.

    Returns:
        one entry per file or folder given: ``path`` (absolute, links followed), number of ``files``, ``bytes``,
        ``modified_ns`` (of the newest), and ``listing_sha256`` over name, size and time of each file. A file that
        is missing has no files.
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
    """The files that a reader may take where it is given this one; ``alone``: as the only one of its case."""
    if path.is_dir():
        pattern = "**/*" if any(file.name.upper() == "DICOMDIR" for file in path.iterdir()) else "*"
        yield from sorted(file for file in path.glob(pattern) if not (file.name.startswith(".") or is_result(file)))
        return
    yield path
    yield from _detached(path)
    channel = _CHANNEL.fullmatch(path.name) if alone else None
    if channel:
        number = 1
        while (sibling := path.with_name(f"{channel[1]}{number:04d}{channel[2]}")).is_file():
            yield from _files(sibling, alone=False)
            number += 1


def _detached(header: Path) -> Iterator[Path]:
    """The files beside a header that hold its voxels: one, a list, or a numbered series."""
    if not (header.name.lower().endswith(_HEADERS) and header.is_file()):
        return
    with header.open("rb") as file:
        head = file.read(_HEADER_BYTES).split(b"\n\n")[0]
    found = _DETACHED.search(head)
    named = found[1].decode("utf-8", "replace").strip() if found else "LOCAL"
    if named.upper().startswith("LIST"):
        assert found is not None
        yield from (header.parent / line for line in head[found.end() :].decode("utf-8", "replace").split())
    elif "%" in named:
        yield from sorted(header.parent.glob(re.sub(r"%\d*d", "*", named.split()[0])))
    elif named.upper() != "LOCAL":
        yield header.parent / named


def read_record(path: str | PathLike[str]) -> dict[str, Any] | None:
    """The record in a JSON file that this package wrote beside a result; ``None`` where there is none."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    versions = content.get("versions") if isinstance(content, dict) else None
    return content if isinstance(versions, dict) and "uniseg_nets" in versions else None


def is_result(path: Path) -> bool:
    """Whether a file is a result of this package: a record of ours stands beside it and speaks of such a file."""
    for ending, key in _RESULTS.items():
        if path.name.endswith(ending):
            name = path.name.removesuffix(ending)
            record = read_record(path.with_name(f"{name}.json"))
            if record is not None and key in record:
                return True
    return False


def marked(fingerprint: str) -> str:
    """What a DICOM object says, in 64 characters, of the label map that it was made of.

    It stands in the ContentDescription, or where the object has none, in the ContributionDescription of this package.
    """
    return _MARK + fingerprint


def dicom_mark(path: str | PathLike[str]) -> str | None:
    """The fingerprint of the label map that a DICOM object of ours was made of; ``None`` where none of ours is."""
    tags = ["Manufacturer", "ContentDescription", "ContributingEquipmentSequence"]
    try:
        found = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(tags))
    except (OSError, InvalidDicomError):
        return None
    if found.get("Manufacturer") != MANUFACTURER:
        return None
    said = [item.get("ContributionDescription") for item in found.get("ContributingEquipmentSequence") or []]
    marks = [str(text) for text in (found.get("ContentDescription"), *said) if str(text).startswith(_MARK)]
    return marks[0].removeprefix(_MARK) if marks else ""


def nrrd_mark(path: str | PathLike[str]) -> str | None:
    """The same of a segmentation for 3D Slicer; its voxels are not read."""
    path = Path(path)
    if not path.is_file():
        return None
    begin = f"{NRRD_MARK}:=".encode()
    with path.open("rb") as file:
        if not file.readline().startswith(b"NRRD"):
            return None
        header = itertools.takewhile(bytes.strip, file)  # it ends with an empty line
        return next((line.removeprefix(begin).strip().decode() for line in header if line.startswith(begin)), None)
