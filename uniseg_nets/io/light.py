"""Imports MONAI without the optional packages that inference does not use.

``import monai`` imports every optional package that is installed. That takes longer than the inference of a small scan.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.abc import MetaPathFinder
from typing import Any

__all__ = ["import_monai_for_inference"]

_UNUSED = {"IPython", "matplotlib", "pandas", "scipy.signal", "sklearn", "transformers"}


class _Hidden(MetaPathFinder):
    """Hides packages from imports, as if they were not installed."""

    def find_spec(self, fullname: str, *_: Any) -> None:
        if fullname in _UNUSED:
            raise ModuleNotFoundError(f"{fullname} is hidden from MONAI", name=fullname)


def import_monai_for_inference() -> None:
    """Imports MONAI while packages that inference does not use are hidden; later imports find them again.

    For a process of its own, such as a command: MONAI's functions that need one of them say that it is not installed.
    """
    hidden = _Hidden()
    sys.meta_path.insert(0, hidden)
    try:
        import_module("monai")
    finally:
        sys.meta_path.remove(hidden)
