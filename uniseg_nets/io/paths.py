"""Paths in files that travel: relative where that is possible, with forward slashes on every system."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["portable_path"]


def portable_path(file: Path, folder: Path) -> str:
    """A file's path as a record in ``folder`` names it; absolute where it lies on another drive.

    A link keeps its own name: the file that it points to may have no ending that tells its format.
    """
    file, folder = file.parent.resolve() / file.name, folder.resolve()
    try:
        return Path(os.path.relpath(file, folder)).as_posix()
    except ValueError:  # Windows: there is no way from one drive to another
        return file.as_posix()
