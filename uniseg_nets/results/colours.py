"""The colours of classes, by index in the list of classes; the same in pictures, pages and segmentations."""

from __future__ import annotations

__all__ = ["COLOURS", "colour", "rgb"]

COLOURS = (
    *("#e6550d", "#31a354", "#3182bd", "#fdd049", "#9e5bd2", "#41c4c4"),
    *("#f781bf", "#a6d854", "#a65628", "#8da0cb", "#e41a1c", "#bcbddc"),
)


def colour(index: int) -> str:
    """The colour of a class as ``#rrggbb``. After the last colour the first one is used again."""
    return COLOURS[index % len(COLOURS)]


def rgb(index: int) -> tuple[int, int, int]:
    """The colour of a class as red, green and blue, 0 to 255."""
    red, green, blue = bytes.fromhex(colour(index)[1:])
    return red, green, blue
