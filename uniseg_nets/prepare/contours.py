"""Converts contours to masks.

MONAI has no transform for contours, and Pillow's polygons include every pixel that their border touches.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["enclosed", "filled"]


def enclosed(masks: Sequence[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """The pixels that the contours of one slice enclose: a contour inside another one is a hole, all others add up.

    A contour inside a hole is filled again. The same contour counts once.

    Args:
        masks: the filled contours, (x, y) each, at least one.
    """
    different: list[NDArray[np.bool_]] = []
    for mask in masks:
        if not any(np.array_equal(mask, other) for other in different):
            different.append(mask)
    found = np.zeros_like(masks[0])
    for mask in sorted(different, key=np.count_nonzero, reverse=True):  # outer contours first
        around = sum(other is not mask and not (mask & ~other).any() for other in different)
        found = found & ~mask if around % 2 else found | mask
    return found


def filled(points: NDArray[np.floating], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels whose centre is inside a closed contour, by the even-odd rule.

    Args:
        points: (n, 2), x and y in pixels, with whole numbers at pixel centres. The last point is joined to the first.
        shape: (x, y) size of the mask.

    Returns:
        Mask (x, y), bool.

    Raises:
        ValueError: if there are fewer than three points.
    """
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 3:
        raise ValueError(f"an outline has size {points.shape}, expected (n, 2) with 3 points or more")
    mask = np.zeros(shape, dtype=bool)
    x, y = points.T.astype(float)
    next_x, next_y = np.roll(x, -1), np.roll(y, -1)
    for row in range(max(0, int(np.ceil(y.min()))), min(shape[1], int(np.floor(y.max())) + 1)):
        # An edge includes its lower end and not its upper one: a row through a corner crosses the contour once.
        crossed = (y <= row) != (next_y <= row)
        share = (row - y[crossed]) / (next_y[crossed] - y[crossed])
        crossings = np.sort(x[crossed] + share * (next_x[crossed] - x[crossed]))
        mask[:, row] = np.searchsorted(crossings, np.arange(shape[0]), side="right") % 2 == 1
    return mask
