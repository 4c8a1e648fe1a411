"""Licence terms of weights, which also hold for weights trained from them.

The one rule: the terms are copied with the weights. ``FILE.license`` beside a weights file (see https://reuse.software)
holds its terms: those of the authors' weights, non-commercial, or those of the open weights, 3D or 2D.
"""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike

from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.weights.beside import read_beside, write_beside

__all__ = [
    "AUTHORS_TERMS",
    "OPEN_2D_TERMS",
    "OPEN_TERMS",
    "SUMMARIES",
    "mark_terms",
    "strictest",
    "terms_of",
    "terms_text",
]

# Files of the bundles, which are copied beside weights.
AUTHORS_TERMS = "LICENSE.weights"
OPEN_TERMS = "LICENSE.open_weights"
OPEN_2D_TERMS = "LICENSE.open_2d"
_BUNDLES = {AUTHORS_TERMS: "uniseg_upstream", OPEN_TERMS: "uniseg_upstream", OPEN_2D_TERMS: "esp_medsam_2d"}
# From the strictest on.
SUMMARIES = {
    AUTHORS_TERMS: "trained from the authors' UniSeg weights, for non-commercial purposes only",
    OPEN_TERMS: "trained from the open weights of UniSeg for MONAI, under CC BY-SA 4.0",
    OPEN_2D_TERMS: "trained from the open 2D weights of UniSeg for MONAI, under CC BY 4.0",
}


def terms_text(terms: str) -> str:
    """The text of ``AUTHORS_TERMS``, ``OPEN_TERMS`` or ``OPEN_2D_TERMS``."""
    return (bundle_folder(_BUNDLES[terms]) / terms).read_text(encoding="utf-8")


def terms_of(weights: str | PathLike[str], official: bool = False) -> str | None:
    """The terms of a weights file; ``None`` if none are known.

    An unknown text beside the file counts as the authors' terms, which allow less.

    Args:
        weights: the file.
        official: whether it has the layout of the authors' release, and thus counts as theirs.
    """
    text = read_beside(weights, "license")
    if text is not None:
        return next((terms for terms in SUMMARIES if terms_text(terms) == text), AUTHORS_TERMS)
    return AUTHORS_TERMS if official else None


def strictest(terms: Iterable[str | None]) -> str | None:
    """The strictest of several terms, which bind a file made from all of them."""
    known = set(terms)
    return next((one for one in SUMMARIES if one in known), None)


def mark_terms(weights: str | PathLike[str], terms: str | None) -> None:
    """Writes the terms beside a new weights file, or deletes the terms of the file that it replaced."""
    write_beside(weights, "license", None if terms is None else terms_text(terms))
