"""The bundles of this distribution."""

from __future__ import annotations

from pathlib import Path

__all__ = ["INFERENCE", "MODEL", "bundle_folder", "model_file"]

# A folder with this file is a bundle that can segment.
INFERENCE = "configs/inference.json"
# What the weights of a network are called; a bundle's own lie in its folder ``models``.
MODEL = "model.pt"
_PACKAGE = Path(__file__).parents[1]


def bundle_folder(name: str) -> Path:
    """The folder of a bundle of this distribution: inside the installed package, or beside it in a checkout.

    Raises:
        FileNotFoundError: if there is no such bundle.
    """
    places = [_PACKAGE / "bundles", _PACKAGE.parent / "bundles"]
    for place in places:
        if (place / name / "configs").is_dir():
            return place / name
    known = sorted({path.parents[1].name for place in places for path in place.glob(f"*/{INFERENCE}")})
    if not known:
        raise FileNotFoundError(f"no bundle {name!r} at {' or '.join(map(str, places))}: install uniseg-nets again")
    raise FileNotFoundError(f"no bundle {name!r}: expected a bundle's folder or zip, or one of {', '.join(known)}")


def model_file(bundle: Path, name: str = MODEL) -> Path:
    """Where a bundle's weights lie: ``models/model.pt``, or another file beside it."""
    return bundle / "models" / name
