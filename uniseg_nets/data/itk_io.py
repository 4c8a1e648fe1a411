"""Loads ITK's readers before they are used.

The one rule: ITK is loaded by the thread that starts a run, never by one that reads scans. ITK loads its modules on
first use and changes the working directory of the process meanwhile: a file that another thread then writes to a
relative path ends up in ITK's own folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import itk

from uniseg_nets.io.names import ITK_ENDINGS

__all__ = ["load_itk_io", "needs_itk"]

# Each loads a group of modules: file readers, DICOM, numpy arrays.
_NAMES = ("ImageFileReader", "GDCMImageIO", "PyBuffer")


def needs_itk(image: str | PathLike[str] | Sequence[str | PathLike[str]]) -> bool:
    """Whether ITK reads a file of the case. It reads neither NIfTI nor images such as PNG."""
    files = [image] if isinstance(image, (str, PathLike)) else image
    return any(str(file).lower().endswith(ITK_ENDINGS) or Path(file).is_dir() for file in files)


def load_itk_io() -> None:
    """Loads the modules. The first call takes seconds."""
    for name in _NAMES:
        getattr(itk, name)
