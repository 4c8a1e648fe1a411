"""The licence of weights: the authors' weights are for non-commercial purposes, and so is what is trained from them.

The one rule: the terms travel with the weights. ``FILE.license`` beside a weights file (as https://reuse.software lays
it down) says that the authors' terms hold for it.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from uniseg_nets.bundle import bundle_folder
from uniseg_nets.files import atomic_path

__all__ = ["TERMS", "authors_terms", "has_authors_terms", "mark_terms"]

# Of a bundle that hands out the authors' weights or what is trained from them.
TERMS = "LICENSE.weights"


def authors_terms() -> str:
    """The terms of the authors' weights, as the bundle ``uniseg_upstream`` holds them."""
    return (bundle_folder("uniseg_upstream") / TERMS).read_text(encoding="utf-8")


def has_authors_terms(weights: str | PathLike[str], official: bool = False) -> bool:
    """Whether the authors' terms hold for a file.

    Args:
        weights: the file.
        official: it has the layout of the authors' release, and is taken for theirs.
    """
    return official or _beside(weights).is_file()


def mark_terms(weights: str | PathLike[str], authors: bool) -> None:
    """Puts the authors' terms beside a file just written, or takes away those of the file that it replaced."""
    if not authors:
        _beside(weights).unlink(missing_ok=True)
        return
    with atomic_path(_beside(weights)) as temporary:
        temporary.write_text(authors_terms(), encoding="utf-8")


def _beside(weights: str | PathLike[str]) -> Path:
    path = Path(weights)
    return path.with_name(path.name + ".license")
