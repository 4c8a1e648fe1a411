"""Recognises DICOM files and folders without parsing them."""

from __future__ import annotations

from pathlib import Path

from uniseg_nets.io.names import DICOM_ENDINGS

__all__ = ["dicom_files", "is_dicom", "is_dicom_folder", "is_disc"]

_DISC_INDEX = "DICOMDIR"


def is_dicom(file: Path) -> bool:
    """Whether a file is a DICOM image, by its ending or by the mark after the preamble. A DICOMDIR is not.

    Raises:
        OSError: if the file cannot be read, and its ending does not tell.
    """
    if file.name.upper() == _DISC_INDEX:
        return False
    if file.suffix.lower() in DICOM_ENDINGS:
        return True
    with file.open("rb") as opened:
        return opened.read(132)[128:] == b"DICM"


def is_dicom_folder(folder: Path) -> bool:
    """Whether a folder contains DICOM files itself, or is the root of a disc."""
    return is_disc(folder) or any(_is_dicom(path, unread=False) for path in _visible(folder))


def dicom_files(folder: Path) -> list[Path]:
    """The DICOM files of a folder, sorted; for a disc, those of all its folders.

    A file that cannot be read is among them if its name is that of a slice, with an ending of DICOM, with a number as
    in IM.0001 and 1.2.840.1, or without one: its reader tells why it cannot be read.
    """
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())] if is_disc(folder) else [folder]
    return sorted(path for folder in folders for path in _visible(folder) if _is_dicom(path, unread=True))


def is_disc(folder: Path) -> bool:
    """Whether a folder is the root of a disc, with a DICOMDIR."""
    return any(path.name.upper() == _DISC_INDEX for path in folder.iterdir() if path.is_file())


def _is_dicom(file: Path, unread: bool) -> bool:
    try:
        return is_dicom(file)
    except OSError:
        return unread and not file.suffix.strip(".0123456789")


def _visible(folder: Path) -> list[Path]:
    """The files of a folder, and its links to files that are gone."""
    shown = [path for path in folder.iterdir() if not path.name.startswith(".")]
    return sorted(path for path in shown if path.is_file() or (path.is_symlink() and not path.exists()))
