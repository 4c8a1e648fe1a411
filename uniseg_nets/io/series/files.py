"""Recognises DICOM files and folders without parsing them."""

from __future__ import annotations

from pathlib import Path

from uniseg_nets.io.names import DICOM_ENDINGS

__all__ = ["dicom_files", "is_dicom", "is_dicom_folder"]

_DISC_INDEX = "DICOMDIR"


def is_dicom(file: Path) -> bool:
    """Whether a file is a DICOM image, by its ending or by the mark after the preamble. A DICOMDIR is not."""
    if file.name.upper() == _DISC_INDEX:
        return False
    if file.suffix.lower() in DICOM_ENDINGS:
        return True
    with file.open("rb") as opened:
        return opened.read(132)[128:] == b"DICM"


def is_dicom_folder(folder: Path) -> bool:
    """Whether a folder contains DICOM files itself, or is the root of a disc."""
    return _is_disc(folder) or any(is_dicom(path) for path in _visible(folder))


def dicom_files(folder: Path) -> list[Path]:
    """The DICOM files of a folder, sorted; for a disc, those of all its folders."""
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())] if _is_disc(folder) else [folder]
    return sorted(path for folder in folders for path in _visible(folder) if is_dicom(path))


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def _is_disc(folder: Path) -> bool:
    return any(path.name.upper() == _DISC_INDEX for path in folder.iterdir() if path.is_file())
