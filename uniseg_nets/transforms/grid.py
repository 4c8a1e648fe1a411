"""The geometry of a case: the file's grid, the crop, and the network's grid.

The one rule: the way from file to network and the way back use the same :class:`Grid`, so that a label map has exactly
the file's shape and affine.

The network's grid has the orientation of the task (``Task.axes``). Crop and resampling come before the flip, in the
stored direction: the official pipeline never flips, and the direction decides which of two equally near slices counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
import torch
from nibabel.affines import apply_affine, voxel_sizes
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from uniseg_nets.tasks import ANISOTROPY, STACK

__all__ = [
    "Grid",
    "bounding_box",
    "coarse_axis",
    "covered_share",
    "flipped",
    "network_flips",
    "on_grid_of",
    "same_grid",
    "touches_border",
    "voxel_edges",
    "voxel_millilitres",
]

# The network's axes (z, y, x) point to superior, anterior, right.
_CANONICAL = "SAR"
# Displacement of a voxel by rounded headers that is tolerated, relative to the shortest voxel edge.
_ROUNDING = 0.1
_SAMPLES = 32  # voxels along an axis


@dataclass(frozen=True, eq=False)
class Grid:
    """The geometry of one case. "File" axes are (x, y, z) as stored, all others the network's (z, y, x).

    In ``acquisition`` order z is the slice axis of a stack, at any position in the file, and y, x are the other axes.

    Example:
        >>> import numpy as np
        >>> import torch
        >>> grid = Grid((20, 30, 10), np.diag([1.0, 1.0, 3.0, 1.0]), target_spacing=(1.5, 2.0, 2.0))
        >>> grid.shape  # (z, y, x) of the network's input
        (20, 15, 10)
        >>> volume = grid.from_file(torch.zeros(1, 20, 30, 10))  # (C, x, y, z) -> (C, z, y, x)
        >>> tuple(volume.shape)
        (1, 10, 30, 20)
        >>> tuple(grid.to_file(volume[0]).shape)
        (20, 30, 10)

    Attributes:
        file_shape: (x, y, z) voxels as stored.
        file_affine: (4, 4), stored voxel -> RAS+ mm.
        target_spacing: (z, y, x) mm of the network's input.
        start, stop: crop box (z, y, x) in the stored direction; ``None`` for the whole file.
        axes: how the file's axes are mapped to the network's, see :class:`~uniseg_nets.tasks.Task`.

    Raises:
        ValueError: if the affine is singular or not finite, or the size has a zero.
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
        _refuse_no_volume(self.file_affine)

    @cached_property
    def order(self) -> list[int]:
        """The file axes of z, y and x."""
        if self.axes == "anatomical":
            return [int(axis) for axis in np.argsort(_orientation(self.file_affine)[:, 0])]
        thick = max(self.target_spacing) > ANISOTROPY * min(self.target_spacing)
        slices = coarse_axis(_edges(self.file_affine), STACK if thick else ANISOTROPY)
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
        """(z, y, x) voxels of the file."""
        return tuple(self.file_shape[axis] for axis in self.order)

    @cached_property
    def spacing(self) -> NDArray[np.float64]:
        """(z, y, x) spacing of the file in mm, rounded: float32 headers have noise in the seventh digit."""
        return _edges(self.stored_affine)

    @property
    def crop_shape(self) -> tuple[int, ...]:
        """(z, y, x) voxels of the crop on the file's grid."""
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
        """(z, y, x) voxels of the network's grid."""
        size = np.round(self.spacing / np.asarray(self.target_spacing) * np.asarray(self.crop_shape))
        return tuple(int(n) for n in np.maximum(size, 1))

    @property
    def affine(self) -> NDArray[np.float64]:
        """(4, 4), network voxel (z, y, x) -> RAS+ mm. The outer edges of the voxels are aligned, not their centres."""
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
        """The axis to resample separately: that of an anisotropic scan, else that of an anisotropic target."""
        for spacing in (self.spacing, np.asarray(self.target_spacing)):
            if spacing.max() / spacing.min() > ANISOTROPY:
                return coarse_axis(spacing)
        return None

    def from_file(self, volume: Tensor) -> Tensor:
        """(..., x, y, z) as stored -> (..., z, y, x) in the stored direction."""
        return volume.movedim([axis - 3 for axis in self.order], (-3, -2, -1))

    def to_file(self, label: Tensor) -> Tensor:
        """(z, y, x) of the crop, in the stored direction -> (x, y, z) as stored, zero outside the crop."""
        full = torch.zeros(self.stored_shape, dtype=label.dtype, device=label.device)
        full[self.box] = label
        return full.movedim((-3, -2, -1), [axis - 3 for axis in self.order])


def _refuse_no_volume(affine: NDArray[np.float64]) -> None:
    volume = np.linalg.det(affine[:3, :3]) if np.isfinite(affine).all() else 0.0
    if abs(volume) < 1e-9:
        raise ValueError(f"image has an affine without volume, its spacing cannot be known: {affine.tolist()}")


def network_flips(affine: NDArray[np.float64], axes: str) -> tuple[int, ...]:
    """Axes of (z, y, x), counted from the end, along which the file's direction is opposite to the network's."""
    if axes != "anatomical":
        return ()
    return tuple(int(axis) - 3 for axis, direction in _orientation(affine) if direction < 0)


def coarse_axis(spacing: NDArray[np.float64], ratio: float = ANISOTROPY) -> int | None:
    """The slice axis of a stack: the single largest edge, if it is more than ``ratio`` times the smallest one."""
    coarse = np.flatnonzero(spacing == spacing.max())
    return int(coarse[0]) if len(coarse) == 1 and spacing.max() / spacing.min() > ratio else None


def _edges(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Voxel edges in mm, rounded: float32 headers have noise in the seventh digit."""
    return np.round(voxel_sizes(affine), 6)


def _orientation(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Row i: (canonical axis, direction) of the file's axis i."""
    return ornt_transform(io_orientation(affine), axcodes2ornt(_CANONICAL))


def bounding_box(mask: Tensor) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """First voxel and the one after the last (z, y, x) of the true voxels; ``None`` if there are none."""
    start, stop = [], []
    for axis in range(3):
        hit = mask.any(dim=tuple(a for a in range(3) if a != axis)).nonzero()
        if not len(hit):
            return None
        start.append(int(hit[0]))
        stop.append(int(hit[-1]) + 1)
    return tuple(start), tuple(stop)


def touches_border(label: NDArray[Any], value: int) -> bool:
    """Whether a class of a label map, with three axes, reaches a face of it. Axes with a single slice have no faces."""
    axes = [axis for axis in range(3) if label.shape[axis] > 1]
    return any(bool((np.moveaxis(label, axis, 0)[side] == value).any()) for axis in axes for side in (0, -1))


def voxel_edges(spacing: ArrayLike) -> NDArray[np.float64]:
    """(3, 3), whose columns are the voxel edges in mm. Three lengths are those along the axes."""
    edges = np.asarray(spacing, dtype=np.float64)
    return np.diag(edges) if edges.ndim == 1 else edges


def voxel_millilitres(spacing: ArrayLike) -> float:
    """The volume of a voxel in ml. In a sheared grid it is smaller than the product of the edge lengths."""
    return float(abs(np.linalg.det(voxel_edges(spacing)))) / 1000


def same_grid(one: ArrayLike, other: ArrayLike, shape: Sequence[int]) -> bool:
    """Whether two affines place every voxel at the same position, apart from the rounding of headers.

    Positions may differ by a tenth of the shortest voxel edge. All corners of the volume are compared: edges of 0.700
    and 0.709 mm add up to 4.6 mm over 512 voxels.

    Args:
        one, other: (4, 4), voxel (x, y, z) -> mm.
        shape: (x, y, z) voxels.
    """
    one, other = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        return False
    corners = np.array(list(product(*((0, n - 1) for n in shape))))
    apart = np.linalg.norm(apply_affine(one, corners) - apply_affine(other, corners), axis=1)
    return bool(apart.max() <= _ROUNDING * voxel_sizes(other).min())


def covered_share(shape: Sequence[int], affine: ArrayLike, other_shape: Sequence[int], other: ArrayLike) -> float:
    """The share of a grid, 0 to 1, that lies within the volume of another one; measured at up to 32 voxels an axis.

    Args:
        shape, affine: size (x, y, z) of the grid, and its voxels -> mm, (4, 4).
        other_shape, other: those of the other grid.

    Raises:
        ValueError: if the affine of the other grid is singular or not finite.
    """
    other = np.asarray(other, dtype=np.float64)
    _refuse_no_volume(other)
    along = [np.linspace(0, n - 1, min(n, _SAMPLES)) for n in shape]
    voxels = np.stack(np.meshgrid(*along, indexing="ij"), axis=-1)
    places = apply_affine(np.linalg.solve(other, np.asarray(affine)), voxels)
    return float(((places > -1) & (places < np.asarray(other_shape))).all(axis=-1).mean())


def on_grid_of(volume: Tensor, affine: ArrayLike, shape: Sequence[int], other: ArrayLike) -> Tensor:
    """Permutes and flips a volume to another grid with the same voxels. Nothing is resampled.

    Args:
        volume: (..., x, y, z).
        affine: (4, 4), its voxels -> RAS+ mm.
        shape, other: size (x, y, z) and affine of the other grid.

    Returns:
        The volume (..., x, y, z) on the other grid.

    Raises:
        ValueError: if the voxels of the other grid are at other positions.
    """
    affine, other = np.asarray(affine, dtype=np.float64), np.asarray(other, dtype=np.float64)
    if same_grid(affine, other, shape) and tuple(volume.shape[-3:]) == tuple(shape):
        return volume
    turn = _turn(affine, other)
    if turn is not None:
        axes, backwards = turn
        turned = volume.movedim([axis - 3 for axis in axes], (-3, -2, -1))
        moved = affine[:, [*axes, 3]]
        for axis in backwards:
            moved[:, 3] += moved[:, axis] * (turned.shape[axis - 3] - 1)
            moved[:, axis] *= -1
        if tuple(turned.shape[-3:]) == tuple(shape) and same_grid(moved, other, shape):
            return flipped(turned, [axis - 3 for axis in backwards])
    raise ValueError(
        f"lies on another grid: size {tuple(volume.shape[-3:])} and affine {np.round(affine, 3).tolist()}, expected "
        f"{tuple(shape)} and {np.round(other, 3).tolist()}: resample it to that grid"
    )


def _turn(affine: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[list[int], list[int]] | None:
    """The axis of a grid for each axis of the other one, and the reversed axes; ``None`` if they are not parallel."""
    if not (np.isfinite(affine).all() and np.isfinite(other).all()) or not np.linalg.det(other[:3, :3]):
        return None
    steps = np.rint(np.linalg.solve(other[:3, :3], affine[:3, :3])).astype(int)
    if not (np.abs(steps).sum(axis=0) == 1).all() or not (np.abs(steps).sum(axis=1) == 1).all():
        return None
    axes = np.abs(steps).argmax(axis=1).tolist()
    return axes, [axis for axis in range(3) if steps[axis, axes[axis]] < 0]


def flipped(volume: Tensor, axes: Sequence[int]) -> Tensor:
    """The flipped volume; the volume itself if there is no axis to flip, which PyTorch would copy."""
    return volume.flip(tuple(axes)) if axes else volume
