"""Where a case lies: the file's grid, the crop, and the network's grid.

The one rule: everything that goes from file to network goes back by the same :class:`Grid`, so that a label map has
exactly the file's shape and affine.

The network's grid has the orientation that the task asks for (``Task.axes``). Crop and resampling happen before axes
are flipped, in the direction in which the file is stored: the official pipeline never flips, and where a nearest slice
is a tie, the direction decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from nibabel.affines import apply_affine
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from uniseg_nets.tasks import ANISOTROPY

__all__ = ["Grid", "bounding_box", "coarse_axis", "flipped", "network_flips", "same_grid"]

# z first, as the network's axes: towards superior, anterior, right.
_CANONICAL = "SAR"
# Headers of an image and its label map may differ by rounding, in mm.
_ROUNDING = 1e-2


@dataclass(frozen=True, eq=False)
class Grid:
    """Geometry of one case; axes of "file" are (x, y, z) as stored, all others the network's (z, y, x).

    In ``acquisition`` order z is the slice axis of a stack, wherever the file stores it, and y, x are the others.

    Attributes:
        file_shape: stored size.
        file_affine: (4, 4), stored voxel -> RAS+ mm.
        target_spacing: (z, y, x) mm that the network sees.
        start, stop: crop box (z, y, x) in the stored direction; ``None`` for all of the file.
        axes: how the file's axes become the network's, see :class:`~uniseg_nets.tasks.Task`.

    Raises:
        ValueError: the affine has no volume, is not finite, or the size has a zero.
    """

    file_shape: tuple[int, int, int]
    file_affine: NDArray[np.float64]
    target_spacing: tuple[float, float, float]
    start: tuple[int, ...] | None = None
    stop: tuple[int, ...] | None = None
    axes: str = "anatomical"

    def __post_init__(self) -> None:
        if min(self.file_shape) < 1:
            raise ValueError(f"image has size (x, y, z) {tuple(self.file_shape)}: nothing to segment")
        volume = np.linalg.det(self.file_affine[:3, :3]) if np.isfinite(self.file_affine).all() else 0.0
        if abs(volume) < 1e-9:
            raise ValueError(
                f"image has an affine without volume, its spacing cannot be known: {self.file_affine.tolist()}"
            )

    @cached_property
    def order(self) -> list[int]:
        """The file axis that becomes axis z, y, x."""
        if self.axes == "anatomical":
            return [int(axis) for axis in np.argsort(_orientation(self.file_affine)[:, 0])]
        slices = coarse_axis(_edges(self.file_affine))
        return [2, 1, 0] if slices is None else [slices, *(axis for axis in (2, 1, 0) if axis != slices)]

    @property
    def flips(self) -> tuple[int, ...]:
        return network_flips(self.file_affine, self.axes)

    @cached_property
    def stored_affine(self) -> NDArray[np.float64]:
        """(4, 4), voxel (z, y, x) in the stored direction -> RAS+ mm."""
        return self.file_affine[:, [*self.order, 3]]

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """The file's size with axes (z, y, x)."""
        return tuple(self.file_shape[axis] for axis in self.order)

    @cached_property
    def spacing(self) -> NDArray[np.float64]:
        """The file's spacing (z, y, x) in mm; rounded, because float32 headers carry noise in the seventh digit."""
        return _edges(self.stored_affine)

    @property
    def crop_shape(self) -> tuple[int, ...]:
        """The crop's size on the file's grid, (z, y, x)."""
        if self.start is None or self.stop is None:
            return self.stored_shape
        return tuple(stop - start for start, stop in zip(self.start, self.stop))

    @property
    def box(self) -> tuple[slice, ...]:
        """The crop as an index of the last three axes."""
        if self.start is None or self.stop is None:
            return (slice(None),) * 3
        return tuple(slice(start, stop) for start, stop in zip(self.start, self.stop))

    @property
    def shape(self) -> tuple[int, ...]:
        """Size of the network's grid."""
        size = np.round(self.spacing / np.asarray(self.target_spacing) * np.asarray(self.crop_shape))
        return tuple(int(n) for n in np.maximum(size, 1))

    @property
    def affine(self) -> NDArray[np.float64]:
        """(4, 4), network voxel (z, y, x) -> RAS+ mm; voxel edges are aligned, not centres."""
        scale = np.asarray(self.crop_shape) / np.asarray(self.shape)
        first = np.asarray(self.start or (0, 0, 0)) + scale / 2 - 0.5
        affine = self.stored_affine.copy()
        affine[:3, :3] *= scale
        affine[:3, 3] = apply_affine(self.stored_affine, first)
        for axis in self.flips:
            affine[:3, 3] += affine[:3, axis + 3] * (self.shape[axis] - 1)
            affine[:3, axis + 3] *= -1
        return affine

    @property
    def coarse_axis(self) -> int | None:
        """The axis to resample apart: that of an anisotropic scan, else that of an anisotropic target."""
        for spacing in (self.spacing, np.asarray(self.target_spacing)):
            if spacing.max() / spacing.min() > ANISOTROPY:
                return coarse_axis(spacing)
        return None

    def from_file(self, volume: Tensor) -> Tensor:
        """(..., x, y, z) as stored -> (..., z, y, x) in the stored direction."""
        return volume.movedim([axis - 3 for axis in self.order], (-3, -2, -1))

    def to_file(self, label: Tensor) -> Tensor:
        """(z, y, x) cropped, in the stored direction -> (x, y, z) as stored, zero outside the crop."""
        full = torch.zeros(self.stored_shape, dtype=label.dtype, device=label.device)
        full[self.box] = label
        return full.movedim((-3, -2, -1), [axis - 3 for axis in self.order])


def network_flips(affine: NDArray[np.float64], axes: str) -> tuple[int, ...]:
    """Axes of (z, y, x), counted from the end, along which a file runs against the network's direction."""
    if axes != "anatomical":
        return ()
    return tuple(int(axis) - 3 for axis, direction in _orientation(affine) if direction < 0)


def coarse_axis(spacing: NDArray[np.float64]) -> int | None:
    """The axis of a stack's slices: the one largest edge, where it is more than 3 times the smallest one."""
    coarse = np.flatnonzero(spacing == spacing.max())
    return int(coarse[0]) if len(coarse) == 1 and spacing.max() / spacing.min() > ANISOTROPY else None


def _edges(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Voxel edges in mm; rounded, because float32 headers carry noise in the seventh digit."""
    return np.round(np.linalg.norm(affine[:3, :3], axis=0), 6)


def _orientation(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Row i: (canonical axis, direction) of the file's axis i."""
    return ornt_transform(io_orientation(affine), axcodes2ornt(_CANONICAL))


def bounding_box(mask: Tensor) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Start and stop of the true voxels of (z, y, x), ``None`` where there are none."""
    start, stop = [], []
    for axis in range(3):
        hit = mask.any(dim=tuple(a for a in range(3) if a != axis)).nonzero()
        if not len(hit):
            return None
        start.append(int(hit[0]))
        stop.append(int(hit[-1]) + 1)
    return tuple(start), tuple(stop)


def same_grid(one: ArrayLike, other: ArrayLike) -> bool:
    """Whether two affines (4, 4) are those of an image and its label map: equal but for the rounding of headers."""
    return bool(np.allclose(one, other, atol=_ROUNDING))


def flipped(volume: Tensor, axes: Sequence[int]) -> Tensor:
    """The volume itself where there is no axis to flip; PyTorch would copy it."""
    return volume.flip(tuple(axes)) if axes else volume
