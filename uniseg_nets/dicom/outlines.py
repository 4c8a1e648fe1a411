"""Converts masks to closed outlines, the form of structures in radiotherapy systems.

The one rule: filling an outline gives the same mask again. Some readers fill the pixels whose centre is inside, others
round the outline to pixels and include these. Both give the mask if the outline runs between the centres of inner and
outer pixels, 0.01 pixel nearer to the inner ones. Libraries that trace the centres of the outermost pixels lose half a
pixel on every side.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from contourpy import FillType, contour_generator
from numpy.typing import NDArray
from scipy.ndimage import find_objects
from scipy.spatial import KDTree

__all__ = ["outlines"]

_LEVEL = 0.51  # between 0 outside and 1 inside: a hundredth of a pixel from half-way
_STRAIGHT = 1e-9  # square pixels


def outlines(mask: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """The outlines of the pieces of a mask.

    The last point is joined to the first. A hole is cut out through a keyhole, a channel without width from the outer
    outline to the hole and back (DICOM PS3.3, C.8.8.6.3), which every reader understands.

    Args:
        mask: (row, column).

    Returns:
        Per piece (n, 2), points (row, column) with whole numbers at the centre of a pixel.
    """
    boxes = find_objects(mask.astype(np.uint8))
    if not boxes:
        return []
    first = [part.start for part in boxes[0]]
    part = np.pad(mask[boxes[0]], 1)
    generator = contour_generator(z=part.astype(float), fill_type=FillType.OuterOffset)
    # contourpy's points are (x, y); the padding shifts the pixels by one.
    return [points[:, ::-1] + np.subtract(first, 1) for points in _pieces(*generator.filled(_LEVEL, 2))]


def _pieces(polygons: list[NDArray[np.float64]], offsets: list[NDArray[np.uint32]]) -> Iterator[NDArray[np.float64]]:
    """The outline of each piece with its holes cut out; the first outline of a polygon is the outer one."""
    for points, ends in zip(polygons, offsets):
        # Each of contourpy's outlines repeats its first point at the end.
        outer, *holes = (_corners(points[begin : end - 1]) for begin, end in pairwise(ends))
        for hole in holes:
            outer = _keyhole(outer, hole)
        yield outer


def _corners(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """A closed outline without the points in the middle of a straight line."""
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    return points[np.abs(before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]) > _STRAIGHT]


def _keyhole(outer: NDArray[np.float64], hole: NDArray[np.float64]) -> NDArray[np.float64]:
    """One outline: along the outer one to its point nearest to the hole, around the hole, and on to the end."""
    distances, nearest = KDTree(outer).query(hole)
    there = int(np.argmin(distances))
    here = int(nearest[there])
    around = np.roll(hole, -there, axis=0)
    return np.concatenate((outer[: here + 1], around, around[:1], outer[here:]))
