"""The colours of classes, the same in pictures, pages and segmentations: by a class's place in its case's list."""

from __future__ import annotations

__all__ = ["COLOURS", "colour", "rgb"]

COLOURS = (
    *("#e6550d", "#31a354", "#3182bd", "#fdd049", "#9e5bd2", "#41c4c4"),
    *("#f781bf", "#a6d854", "#a65628", "#8da0cb", "#e41a1c", "#bcbddc"),
)


def colour(place: int) -> str:
    """The colour of the class at a place, from 0, as ``#rrggbb``; after the last colour the first comes again."""
    return COLOURS[place % len(COLOURS)]


def rgb(place: int) -> tuple[int, int, int]:
    """The same as red, green and blue, 0 to 255."""
    red, green, blue = bytes.fromhex(colour(place)[1:])
    return red, green, blue
