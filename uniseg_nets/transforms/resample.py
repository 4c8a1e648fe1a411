"""Resampling with the official pipeline's semantics, at the speed of matrix products.

The release resizes with skimage's ``resize`` (spline, outer voxel edges aligned, no anti-aliasing). A spline resize is
linear and separable: it is one small matrix per axis, which scipy computes and torch multiplies with.

Shapes: C channels, (D, H, W) old size in (z, y, x), (d, h, w) new size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from uniseg_nets.transforms.grid import bounding_box

__all__ = ["argmax_values", "resample_argmax", "resample_image", "resample_labels"]

_SPLINE_ORDER = 3
# Output slices per step when class scores are resampled. It limits memory and does not affect the result.
_SLAB = 8


def resample_image(image: Tensor, size: Sequence[int], coarse_axis: int | None = None) -> Tensor:
    """Cubic spline resampling of an image, (C, D, H, W) -> (C, d, h, w), clipped to the input's range.

    Args:
        image: float tensor.
        size: (d, h, w).
        coarse_axis: 0 to 2, axis of an anisotropic scan along which the nearest slice is taken instead. The other two
            axes are resampled slice by slice.
    """
    if tuple(image.shape[1:]) == tuple(size):
        return image
    axes = (1, 2, 3) if coarse_axis is None else tuple(a for a in (1, 2, 3) if a != coarse_axis + 1)
    # A spline overshoots at edges: it is clipped to the range of the channel, or of each slice.
    low, high = image.amin(axes, keepdim=True), image.amax(axes, keepdim=True)
    # Downsampled axes come first, so that intermediate volumes are small.
    for axis in sorted(axes, key=lambda a: size[a - 1] / image.shape[a]):
        image = _apply(_spline_matrix(image.shape[axis], size[axis - 1]).to(image), image, axis)
    image = torch.maximum(torch.minimum(image, high), low)
    if coarse_axis is not None:
        image = image.index_select(
            coarse_axis + 1, _nearest(image.shape[coarse_axis + 1], size[coarse_axis]).to(image.device)
        )
    return image


def resample_labels(label: Tensor, size: Sequence[int], coarse_axis: int | None = None) -> Tensor:
    """Linear resampling of a label map, value by value, (D, H, W) -> (d, h, w) of the same integer type.

    A voxel gets the last value that reaches 0.5 there, as in the official pipeline.
    """
    if tuple(label.shape) == tuple(size):
        return label
    result = torch.zeros(tuple(size), dtype=label.dtype, device=label.device)
    for value in label.unique().tolist():
        mask = label == value
        if value:
            for box, slab in _linear_slabs(mask[None], mask, size, coarse_axis):
                result[box][slab[0] >= 0.5] = value
    return result


def resample_argmax(
    scores: Tensor, values: Sequence[int], size: Sequence[int], coarse_axis: int | None = None
) -> Tensor:
    """Linear resampling of class scores or masks, then the class with the highest score per voxel.

    Only the box around the foreground is computed: if no class exceeds the background at neighbouring voxels, none does
    between them. Full-resolution scores exist for one slab at a time.

    Args:
        scores: (C, D, H, W), scores of C classes, the background first.
        values: label value of each class.
        size, coarse_axis: as for :func:`resample_image`.

    Returns:
        Label map, uint8 (d, h, w).
    """
    if tuple(scores.shape[1:]) == tuple(size):
        return argmax_values(scores, values)
    foreground = torch.zeros(scores.shape[1:], dtype=torch.bool, device=scores.device)
    for score in scores[1:]:
        foreground |= score > scores[0]
    result = torch.full(tuple(size), values[0], dtype=torch.uint8, device=scores.device)
    for box, slab in _linear_slabs(scores, foreground, size, coarse_axis):
        result[box] = argmax_values(slab, values)
    return result


def argmax_values(scores: Tensor, values: Sequence[int]) -> Tensor:
    """The label value of the highest score, the first one of equal scores: (C, D, H, W) -> uint8 (D, H, W).

    The classes are compared one by one: ``torch.argmax`` over the slowest axis takes several times as long.
    """
    best = scores[0]
    result = torch.full(scores.shape[1:], values[0], dtype=torch.uint8, device=scores.device)
    for value, score in zip(values[1:], scores[1:]):
        result.masked_fill_(score > best, value)
        best = torch.maximum(best, score)
    return result


def _linear_slabs(
    volume: Tensor, where: Tensor, size: Sequence[int], coarse_axis: int | None
) -> Iterator[tuple[tuple[slice, ...], Tensor]]:
    """Yields boxes of the new size with the resampled volume in them, (C, ...), a few slices along z at a time.

    Together the boxes contain every new voxel that is interpolated from a true voxel of ``where`` (D, H, W).
    """
    bounds = bounding_box(where)
    if bounds is None:
        return
    lines = []  # per axis: first new voxel; for each new voxel the two old neighbours and the second one's weight
    for axis, (start, stop) in enumerate(zip(*bounds)):
        low, high, weight = _neighbours(volume.shape[axis + 1], size[axis], nearest=axis == coarse_axis)
        touched = ((high >= start) & (low < stop)).nonzero()
        if not len(touched):  # no new slice is nearest to the foreground
            return
        inside = slice(int(touched[0]), int(touched[-1]) + 1)
        first, last = int(low[inside][0]), int(high[inside][-1])
        volume = volume.narrow(axis + 1, first, last - first + 1)
        lines.append((inside.start, low[inside] - first, high[inside] - first, weight[inside]))
    (depth, *of_z), (height, *of_y), (width, *of_x) = lines
    plane = slice(height, height + len(of_y[0])), slice(width, width + len(of_x[0]))
    for start in range(0, len(of_z[0]), _SLAB):
        slab = volume
        for axis, line in ((1, [part[start : start + _SLAB] for part in of_z]), (2, of_y), (3, of_x)):
            slab = _between(slab, axis, *(part.to(volume.device) for part in line))
        yield (slice(depth + start, depth + start + slab.shape[1]), *plane), slab


def _between(volume: Tensor, axis: int, low: Tensor, high: Tensor, weight: Tensor) -> Tensor:
    """Linear interpolation along one axis, from slices ``low`` to slices ``high`` by ``weight``."""
    if not weight.any():
        return volume.index_select(axis, low).float()
    weight = weight.reshape([-1 if a == axis else 1 for a in range(volume.dim())])
    return torch.lerp(volume.index_select(axis, low).float(), volume.index_select(axis, high).float(), weight)


@lru_cache(maxsize=64)
def _neighbours(old: int, new: int, nearest: bool) -> tuple[Tensor, Tensor, Tensor]:
    """The two neighbours among ``old`` samples of each new one, outer edges aligned, and the second one's weight."""
    if nearest:
        index = _nearest(old, new)
        return index, index, torch.zeros(new)
    position = ((torch.arange(new, dtype=torch.float64) + 0.5) * (old / new) - 0.5).clamp(0, old - 1)
    low = position.floor().long()
    return low, (low + 1).clamp(max=old - 1), (position - low).float()


def _apply(matrix: Tensor, volume: Tensor, axis: int) -> Tensor:
    """Multiplies ``matrix`` (new, old) along one axis of (C, D, H, W)."""
    if axis == 3:
        return volume @ matrix.T
    if axis == 2:
        return matrix @ volume
    channels, depth, *plane = volume.shape
    return (matrix @ volume.reshape(channels, depth, -1)).reshape(channels, -1, *plane)


@lru_cache(maxsize=64)
def _spline_matrix(old: int, new: int) -> Tensor:
    """The matrix (new, old) of a spline resize from ``old`` to ``new`` samples."""
    identity = np.eye(old)
    columns = [
        ndimage.zoom(identity[i], new / old, order=_SPLINE_ORDER, mode="nearest", grid_mode=True) for i in range(old)
    ]
    return torch.from_numpy(np.stack(columns, axis=1)).float()


def _nearest(old: int, new: int) -> Tensor:
    """Index of the nearest old sample of each new one, outer edges aligned; halves round up as in scipy."""
    position = (torch.arange(new, dtype=torch.float64) + 0.5) * (old / new) - 0.5
    return (position + 0.5).floor().long().clamp(0, old - 1)
