"""ITK's modules that read images, loaded at a known time.

The one rule: ITK is loaded by the thread that starts a run, never by one that reads scans. It loads its modules when
they are first used, and changes the process's working directory while it does so: what another thread then writes to a
relative path lands among ITK's own files.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import itk

__all__ = ["load_itk_io", "needs_itk"]

_ENDINGS = (".nrrd", ".mha", ".mhd", ".dcm", ".ima")
# Each brings the modules behind it: all readers of files, DICOM, numpy arrays.
_NAMES = ("ImageFileReader", "GDCMImageIO", "PyBuffer")


def needs_itk(image: str | PathLike[str] | Sequence[str | PathLike[str]]) -> bool:
    """Whether ITK reads one of a case's files: all but NIfTI, and pictures that are no DICOM."""
    files = [image] if isinstance(image, (str, PathLike)) else image
    return any(str(file).lower().endswith(_ENDINGS) or Path(file).is_dir() for file in files)


def load_itk_io() -> None:
    """Loads the modules, which takes seconds the first time."""
    for name in _NAMES:
        getattr(itk, name)
