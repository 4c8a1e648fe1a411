"""Implicit solids in millimetres, evaluated only inside their own boxes.

A shape's field is a rough signed distance in mm, negative inside. Points are (x, y, z) in the patient's frame: x grows to
the patient's right, y to the front, z to the head.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation

__all__ = ["Shape", "Space", "Waves", "both", "bumpy", "curve", "ellipsoid", "grown", "tube", "union", "without"]

Field = NDArray[np.float32]
Points = tuple[Field, Field, Field]
Window = tuple[slice, slice, slice]

_FAR = 1000.0
_EDGE = 8.0  # beyond a part's own box a union still needs its distances, for soft edges and for growing


class Space:
    """A voxel grid seen from the patient's frame.

    Args:
        shape: voxels (x, y, z).
        to_patient: (4, 4), voxel index -> patient mm.
    """

    def __init__(self, shape: tuple[int, int, int], to_patient: NDArray[np.float64]) -> None:
        self.shape = shape
        self.to_patient = to_patient
        self.to_voxel = np.linalg.inv(to_patient)
        self.everything: Window = (slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2]))
        self.voxel_mm = float(np.abs(np.linalg.det(to_patient[:3, :3])) ** (1 / 3))

    def window(self, low: NDArray[np.float64], high: NDArray[np.float64]) -> Window:
        """The smallest block of voxels that holds the box ``low``..``high``; empty where the box lies outside."""
        corners = np.array(list(itertools.product(*zip(low, high))))
        voxels = corners @ self.to_voxel[:3, :3].T + self.to_voxel[:3, 3]
        start = np.clip(np.floor(voxels.min(axis=0)), 0, self.shape).astype(int)
        stop = np.clip(np.ceil(voxels.max(axis=0)) + 1, start, self.shape).astype(int)
        return (slice(start[0], stop[0]), slice(start[1], stop[1]), slice(start[2], stop[2]))

    def points(self, window: Window) -> Points:
        """Patient mm of the window's voxel centres, three arrays (x, y, z)."""
        i, j, k = np.ix_(*(np.arange(part.start, part.stop, dtype=np.float32) for part in window))
        x, y, z = (np.float32(a) * i + np.float32(b) * j + (np.float32(c) * k + np.float32(d))
                   for a, b, c, d in self.to_patient[:3])  # fmt: skip
        return x, y, z


@dataclass(frozen=True)
class Shape:
    """A solid: the box that holds it, and its field over any window of a space."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    sample: Callable[[Space, Window], Field]

    @property
    def centre(self) -> NDArray[np.float64]:
        return (self.low + self.high) / 2


class Waves:
    """A smooth random function of space: a sum of plane waves, about unit variance, drawn once.

    Args:
        rng: source of directions and phases.
        length: wavelength in mm.
        count: number of waves.
    """

    def __init__(self, rng: np.random.Generator, length: float, count: int = 3) -> None:
        directions = rng.normal(size=(count, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        self.vectors = (2 * np.pi / length * rng.uniform(0.75, 1.25, (count, 1)) * directions).astype(np.float32)
        self.phases = rng.uniform(0, 2 * np.pi, count).astype(np.float32)

    def __call__(self, points: Points) -> Field:
        x, y, z = points
        total = sum(np.sin(a * x + b * y + c * z + p) for (a, b, c), p in zip(self.vectors, self.phases))
        return np.float32((2 / len(self.phases)) ** 0.5) * total


def ellipsoid(centre: ArrayLike, radii: ArrayLike, turn: Sequence[float] = (0, 0, 0), power: float = 2) -> Shape:
    """An ellipsoid, or a superquadric that gets boxier with ``power``; ``turn`` in degrees about x, y and z."""
    middle, axes = np.asarray(centre, float), np.asarray(radii, float)
    rotation = Rotation.from_euler("xyz", turn, degrees=True).as_matrix()
    rows = (rotation.T / axes[:, None]).astype(np.float32)  # patient mm -> units of the radii
    size = np.float32(np.sort(axes)[:2].mean())
    reach = np.abs(rotation) @ axes

    def sample(space: Space, window: Window) -> Field:
        x, y, z = (p - np.float32(c) for p, c in zip(space.points(window), middle))
        units = (a * x + b * y + c * z for a, b, c in rows)
        if power == 2:
            return size * (np.sqrt(sum(unit * unit for unit in units)) - 1)
        return size * (sum(np.abs(unit) ** np.float32(power) for unit in units) ** np.float32(1 / power) - 1)

    return Shape(middle - reach, middle + reach, sample)


def curve(knots: ArrayLike, step: float = 6) -> NDArray[np.float64]:
    """Points every ``step`` mm along a smooth line through the knots (N, 3); further columns are carried along."""
    line = np.asarray(knots, float)
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line[:, :3], axis=0), axis=1))])
    return CubicSpline(along, line)(np.linspace(0, along[-1], max(2, round(along[-1] / step) + 1)))


def tube(line: ArrayLike, radius: ArrayLike) -> Shape:
    """A tube of round section about a line (N, 3) of points; ``radius`` is one number or one a point."""
    points = np.asarray(line, float)
    radii = np.broadcast_to(np.asarray(radius, float), len(points))
    ends = zip(points[:-1], points[1:], radii[:-1], radii[1:])
    return union(*(_capsule(a, b, r, s) for a, b, r, s in ends))


def union(*shapes: Shape, blend: float = 0) -> Shape:
    """All shapes together; ``blend`` mm of fillet where they meet."""
    low, high = np.min([s.low for s in shapes], axis=0), np.max([s.high for s in shapes], axis=0)

    def sample(space: Space, window: Window) -> Field:
        total = np.full([part.stop - part.start for part in window], _FAR, np.float32)
        for shape in shapes:
            part = _overlap(window, space.window(shape.low - blend - _EDGE, shape.high + blend + _EDGE))
            inner = tuple(slice(p.start - w.start, p.stop - w.start) for p, w in zip(part, window))
            one, other = total[inner], shape.sample(space, part)
            total[inner] = np.minimum(one, other)
            if blend:  # polynomial smooth minimum
                total[inner] -= np.maximum(blend - np.abs(one - other), 0) ** 2 / np.float32(4 * blend)
        return total

    return Shape(low - blend / 4, high + blend / 4, sample)


def both(first: Shape, second: Shape) -> Shape:
    """What lies in the one and in the other."""
    return Shape(
        np.maximum(first.low, second.low),
        np.maximum(np.minimum(first.high, second.high), np.maximum(first.low, second.low)),
        lambda space, window: np.maximum(first.sample(space, window), second.sample(space, window)),
    )


def without(shape: Shape, *holes: Shape) -> Shape:
    """The shape less the holes."""

    def sample(space: Space, window: Window) -> Field:
        return reduce(np.maximum, (-hole.sample(space, window) for hole in holes), shape.sample(space, window))

    return Shape(shape.low, shape.high, sample)


def grown(shape: Shape, mm: float) -> Shape:
    """The shape with its surface moved out by some millimetres, or in by a negative number."""
    return Shape(
        shape.low - max(mm, 0), shape.high + max(mm, 0), lambda space, window: shape.sample(space, window) - mm
    )


def bumpy(shape: Shape, waves: Waves, height: float) -> Shape:
    """The shape with a wavy surface, ``height`` mm up and down."""
    return Shape(
        shape.low - height,
        shape.high + height,
        lambda space, window: shape.sample(space, window) + np.float32(height) * waves(space.points(window)),
    )


def _capsule(start: NDArray[np.float64], end: NDArray[np.float64], radius: float, end_radius: float) -> Shape:
    axis = end - start
    unit = (axis / max(float(axis @ axis), 1e-6)).astype(np.float32)
    slope = np.float32(end_radius - radius)
    reach = max(radius, end_radius)

    def sample(space: Space, window: Window) -> Field:
        x, y, z = (p - np.float32(a) for p, a in zip(space.points(window), start))
        share = np.clip(unit[0] * x + unit[1] * y + unit[2] * z, 0, 1)
        squares = sum((p - np.float32(a) * share) ** 2 for p, a in zip((x, y, z), axis))
        return np.sqrt(squares) - np.float32(radius) - slope * share

    return Shape(np.minimum(start, end) - reach, np.maximum(start, end) + reach, sample)


def _overlap(first: Window, second: Window) -> Window:
    x, y, z = (
        slice(max(a.start, b.start), max(min(a.stop, b.stop), max(a.start, b.start))) for a, b in zip(first, second)
    )
    return x, y, z
