"""Simple solids in mm, drawn on a voxel grid in the random pose of a patient."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

__all__ = ["Mask", "Scene", "Volume"]

Mask = NDArray[np.bool_]
Volume = NDArray[np.float32]


class Scene:
    """A voxel grid (x, y, z) in RAS+ mm with its origin in the centre, and a patient with a slightly rotated pose.

    Args:
        rng: random numbers of the patient.
        size: field of view (x, y, z) in mm.
        spacing: voxel size (x, y, z) in mm.
        tilt: standard deviation of the rotation about each axis, in degrees.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        size: Sequence[float],
        spacing: Sequence[float] | NDArray[np.float64],
        tilt: float = 4.0,
    ) -> None:
        self.rng = rng
        self.spacing = np.asarray(spacing, dtype=float)
        self.shape = tuple(int(n) for n in np.maximum(np.round(np.asarray(size) / self.spacing), 1))
        self.axes = [((np.arange(n) - (n - 1) / 2) * mm).astype(np.float32) for n, mm in zip(self.shape, self.spacing)]
        self.affine = np.diag([*self.spacing, 1.0])
        self.affine[:3, 3] = [axis[0] for axis in self.axes]
        self._pose = Rotation.from_euler("xyz", rng.normal(0, tilt, 3), degrees=True)
        self._shift = rng.normal(0, 4, 3)
        self._scale = rng.uniform(0.92, 1.08)

    def vary(self, value: float, share: float = 0.1) -> float:
        """A random number between ``value`` minus and plus the fraction ``share``."""
        return float(value * self.rng.uniform(1 - share, 1 + share))

    def place(self, point: Sequence[float], jitter: float = 0.0) -> NDArray[np.float64]:
        """A point of the body (mm) in this patient's pose."""
        return self._pose.apply(np.asarray(point) + self.rng.normal(0, 1, 3) * jitter) * self._scale + self._shift

    def ellipsoid(
        self, centre: Sequence[float], radii: Sequence[float], jitter: float = 3.0, wobble: float = 0.08, power: int = 2
    ) -> Mask:
        """An ellipsoid with an uneven surface. A ``power`` above 2 makes it more like a box."""
        middle = self.place(centre, jitter)
        size = np.asarray(radii) * self._scale * self.rng.uniform(0.9, 1.1, 3)
        turn = (self._pose * Rotation.from_euler("xyz", self.rng.normal(0, 8, 3), degrees=True)).as_matrix()
        mask, box, offsets = self._around(middle, float(size.max()) * 1.3)
        # Rows of ``turn.T`` map world offsets to the body's own axes.
        local = [sum(turn[j, i] * offsets[j] for j in range(3)) / size[i] for i in range(3)]
        radius = sum(np.abs(axis) ** power for axis in local) ** (1 / power)
        waves = self.rng.uniform(1.5, 3.5, 3), self.rng.uniform(0, 2 * np.pi, 3)
        bumps = sum(np.sin(k * axis + phase) for axis, k, phase in zip(local, *waves))
        mask[box] = radius < 1 + wobble * bumps / 2
        return mask

    def tube(self, points: Sequence[Sequence[float]], radius: float, jitter: float = 2.0) -> Mask:
        """All voxels within ``radius`` mm of a polyline through ``points``."""
        path = np.stack([self.place(point, jitter) for point in points])
        radius *= self._scale
        tube = np.zeros(self.shape, dtype=bool)
        for start, end in pairwise(path):
            along = end - start
            mask, box, offsets = self._around((start + end) / 2, float(np.linalg.norm(along)) / 2 + radius)
            share = sum(o * a for o, a in zip(offsets, along)) / float(along @ along)
            share = np.clip(share, -0.5, 0.5)
            distance = sum((o - share * a) ** 2 for o, a in zip(offsets, along))
            mask[box] = distance < radius**2
            tube |= mask
        return tube

    def field(self, scale_mm: float) -> Volume:
        """A smooth random field with mean 0, standard deviation 1 and structures of about ``scale_mm``."""
        coarse = [max(int(np.ceil(n * mm / scale_mm)) + 3, 4) for n, mm in zip(self.shape, self.spacing)]
        noise = self.rng.standard_normal(coarse)
        smooth = ndimage.zoom(noise, [n / c for n, c in zip(self.shape, coarse)], order=1)
        return ((smooth - smooth.mean()) / (smooth.std() + 1e-6)).astype(np.float32)

    def finish(self, volume: Volume, noise: float) -> Volume:
        """Adds the effects of a scanner: partial volume of about one voxel, then Gaussian noise."""
        blurred = ndimage.gaussian_filter(volume, 0.5)
        return blurred + self.rng.standard_normal(self.shape, dtype=np.float32) * np.float32(noise)

    def _around(self, middle: NDArray[np.float64], reach: float) -> tuple[Mask, tuple[slice, ...], list[Volume]]:
        """An empty mask, the box within ``reach`` mm of a point, and the box's offsets from it along x, y, z."""
        box, offsets = [], []
        for axis, (line, centre) in enumerate(zip(self.axes, middle)):
            first, last = np.searchsorted(line, [centre - reach, centre + reach])
            box.append(slice(int(first), int(last)))
            offsets.append((line[first:last] - np.float32(centre)).reshape([-1 if a == axis else 1 for a in range(3)]))
        return np.zeros(self.shape, dtype=bool), tuple(box), offsets
