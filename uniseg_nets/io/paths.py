"""Paths in files that travel: relative where that is possible, with forward slashes on every system."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["portable_path"]


def portable_path(file: Path, folder: Path) -> str:
    """A file's path as a record in ``folder`` names it; absolute where it lies on another drive."""
    file, folder = file.resolve(), folder.resolve()
    try:
        return Path(os.path.relpath(file, folder)).as_posix()
    except ValueError:  # Windows: there is no way from one drive to another
        return file.as_posix()
