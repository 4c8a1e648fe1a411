"""Classes that differ by their side, which mirroring would exchange."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["default_mirror_axes", "sided_classes"]

_SIDES = {"left", "right", "lt", "rt", "l", "r"}


def sided_classes(classes: Sequence[str]) -> list[str]:
    """The classes that differ by their side, such as ``left_kidney``, ``LKidney``, ``kidney_l`` or ``kidney_lt``.

    Chambers of the heart are named after a side but differ in shape: they are not included. Vertebrae such as ``L1``
    have no side; where there is a class with ``r1`` or the like too, ``l1`` has one.
    """
    numbered = any(re.search(r"(?<![a-z])r\d", name.lower()) for name in classes)
    words = {name: _words(name, numbered) for name in classes}
    return [name for name in classes if _SIDES & set(words[name]) and not _is_chamber(words[name])]


def default_mirror_axes(classes: Sequence[str], axes: str) -> tuple[int, ...]:
    """All axes; without the left-right axis where classes differ by side; none where that axis is unknown."""
    if not sided_classes(classes):
        return (0, 1, 2)
    return (0, 1) if axes == "anatomical" else ()


def _words(name: str, numbered_sides: bool = False) -> list[str]:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)  # LeftKidney
    spaced = re.sub(r"\b([LR])(?=[A-Z][a-z])", r"\1 ", spaced.replace("_", " "))  # LKidney, not LV
    if not numbered_sides:
        spaced = re.sub(r"\b[LRlr]\d", " ", spaced)  # vertebrae
    return re.findall(r"(?<![a-z])[a-z]+", spaced.lower())


def _is_chamber(words: Sequence[str]) -> bool:
    return "lateral" not in words and any(word.startswith(("ventric", "atri")) for word in words)
