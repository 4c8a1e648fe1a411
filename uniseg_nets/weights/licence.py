"""Licence terms of weights, which also hold for weights trained from them.

The one rule: the terms are copied with the weights. ``FILE.license`` beside a weights file (see https://reuse.software)
holds its terms: those of the authors' weights, non-commercial, or those of the open weights, 3D or 2D.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from os import PathLike
from types import MappingProxyType

from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.weights.beside import read_beside, write_beside

__all__ = [
    "AUTHORS_TERMS",
    "CODE_LICENCE",
    "OPEN_2D_TERMS",
    "OPEN_TERMS",
    "TERMS",
    "Terms",
    "mark_terms",
    "strictest",
    "terms_of",
    "terms_text",
]

# Names of terms in plans and configs, after the files that hold their texts.
AUTHORS_TERMS = "LICENSE.weights"
OPEN_TERMS = "LICENSE.open_weights"
OPEN_2D_TERMS = "LICENSE.open_2d"
# The licence of the code, and of the demo weights, which have no terms of their own.
CODE_LICENCE = "Apache-2.0"


@dataclass(frozen=True)
class Terms:
    """Licence terms of weights.

    Attributes:
        bundle: bundle of this distribution that holds their text.
        licence: the licence in a word.
        summary: what holds of weights under them, in words.
        card: the licence as the front matter of a model card on the Hugging Face Hub names it.
    """

    bundle: str
    licence: str
    summary: str
    card: Mapping[str, str]


# Name -> terms, from the strictest on.
TERMS: Mapping[str, Terms] = MappingProxyType(
    {
        AUTHORS_TERMS: Terms(
            "uniseg_upstream",
            "non-commercial",
            "trained from the authors' UniSeg weights, for non-commercial purposes only",
            {"license": "other", "license_name": "non-commercial", "license_link": AUTHORS_TERMS},
        ),
        OPEN_TERMS: Terms(
            "uniseg_upstream",
            "CC BY-SA 4.0",
            "trained from the open weights of UniSeg for MONAI, under CC BY-SA 4.0",
            {"license": "cc-by-sa-4.0"},
        ),
        OPEN_2D_TERMS: Terms(
            "esp_medsam_2d",
            "CC BY 4.0",
            "trained from the open 2D weights of UniSeg for MONAI, under CC BY 4.0",
            {"license": "cc-by-4.0"},
        ),
    }
)


def terms_text(terms: str) -> str:
    """The text of ``AUTHORS_TERMS``, ``OPEN_TERMS`` or ``OPEN_2D_TERMS``."""
    return (bundle_folder(TERMS[terms].bundle) / terms).read_text(encoding="utf-8")


def terms_of(weights: str | PathLike[str], official: bool = False) -> str | None:
    """The terms of a weights file; ``None`` if none are known.

    An unknown text beside the file counts as the authors' terms, which allow less.

    Args:
        weights: the file.
        official: whether it has the layout of the authors' release, and thus counts as theirs.
    """
    text = read_beside(weights, "license")
    if text is not None:
        return next((terms for terms in TERMS if terms_text(terms) == text), AUTHORS_TERMS)
    return AUTHORS_TERMS if official else None


def strictest(terms: Iterable[str | None]) -> str | None:
    """The strictest of several terms, which bind a file made from all of them."""
    known = set(terms)
    return next((one for one in TERMS if one in known), None)


def mark_terms(weights: str | PathLike[str], terms: str | None) -> None:
    """Writes the terms beside a new weights file, or deletes the terms of the file that it replaced."""
    write_beside(weights, "license", None if terms is None else terms_text(terms))
