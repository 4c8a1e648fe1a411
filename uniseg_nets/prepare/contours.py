"""Outlines drawn by hand, as masks.

MONAI has no transform for outlines, and Pillow's polygons take in every pixel that their border touches.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["filled"]


def filled(points: NDArray[np.floating], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels (x, y) whose centre lies inside a closed outline, by the even-odd rule.

    Args:
        points: (n, 2), x and y in pixels, whole numbers at the centre of a pixel; the last is joined to the first.
        shape: size of the mask in x and y.

    Raises:
        ValueError: fewer than three points.
    """
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 3:
        raise ValueError(f"an outline has size {points.shape}, expected (n, 2) with 3 points or more")
    mask = np.zeros(shape, dtype=bool)
    x, y = points.T.astype(float)
    next_x, next_y = np.roll(x, -1), np.roll(y, -1)
    for row in range(max(0, int(np.ceil(y.min()))), min(shape[1], int(np.floor(y.max())) + 1)):
        # An edge owns its lower end and not its upper one: a row through a corner crosses the outline once.
        crossed = (y <= row) != (next_y <= row)
        share = (row - y[crossed]) / (next_y[crossed] - y[crossed])
        crossings = np.sort(x[crossed] + share * (next_x[crossed] - x[crossed]))
        mask[:, row] = np.searchsorted(crossings, np.arange(shape[0]), side="right") % 2 == 1
    return mask
