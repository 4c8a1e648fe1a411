"""Resampling with the official pipeline's semantics, at the speed of matrix products.

The release resizes with skimage's ``resize`` (spline, edges of voxels aligned, no anti-aliasing). A spline resize is
linear and separable, so one small matrix an axis says it all; scipy makes that matrix, and torch multiplies with it.

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
# Output slices handled at a time when class scores are resampled: bounds memory, not the result.
_SLAB = 8


def resample_image(image: Tensor, size: Sequence[int], coarse_axis: int | None = None) -> Tensor:
    """Cubic spline resampling of an image, (C, D, H, W) -> (C, d, h, w), values kept within the input's range.

    Args:
        image: float tensor.
        size: (d, h, w).
        coarse_axis: 0..2, the axis of an anisotropic scan that takes the nearest slice instead; the other two are
            resampled slice by slice.
    """
    if tuple(image.shape[1:]) == tuple(size):
        return image
    kept = (1, 2, 3) if coarse_axis is None else tuple(a for a in (1, 2, 3) if a != coarse_axis + 1)
    # A spline overshoots at edges; the range it may not leave is the channel's, or each slice's.
    low, high = image.amin(kept, keepdim=True), image.amax(kept, keepdim=True)
    # Shrinking axes first keeps the intermediate volumes small.
    for axis in sorted(kept, key=lambda a: size[a - 1] / image.shape[a]):
        image = _apply(_spline_matrix(image.shape[axis], size[axis - 1]).to(image), image, axis)
    image = torch.maximum(torch.minimum(image, high), low)
    if coarse_axis is not None:
        image = image.index_select(
            coarse_axis + 1, _nearest(image.shape[coarse_axis + 1], size[coarse_axis]).to(image.device)
        )
    return image


def resample_labels(label: Tensor, size: Sequence[int], coarse_axis: int | None = None) -> Tensor:
    """Linear resampling of a label map, each value apart, (D, H, W) -> (d, h, w) of the same integer type.

    A voxel takes the last value that reaches one half there, as in the official pipeline.
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
    """Linear resampling of class scores or masks, then each voxel's best class: (C, D, H, W) -> uint8 (d, h, w).

    Only the box around the foreground is computed: where no class exceeds the first, the background, at any of the
    voxels around, none does between them. Never holds more than a slab of full-resolution scores.

    Args:
        scores: of C classes, the background first.
        values: each class's label value.
        size, coarse_axis: as for :func:`resample_image`.
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
    """The label value of the highest score, of the first one where several share it: (C, D, H, W) -> uint8 (D, H, W).

    Class after class: ``torch.argmax`` over the slowest axis takes several times as long.
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
    """Yields boxes of the new size and the volume resampled in them, (C, ...), a few slices z after the other.

    Together they hold every voxel that a true one of ``where`` (D, H, W) takes part in.
    """
    found = bounding_box(where)
    if found is None:
        return
    lines = []  # an axis: first new voxel, and the two old ones beside each with the second one's weight
    for axis, (start, stop) in enumerate(zip(*found)):
        low, high, weight = _neighbours(volume.shape[axis + 1], size[axis], nearest=axis == coarse_axis)
        touched = ((high >= start) & (low < stop)).nonzero()
        if not len(touched):  # a nearest slice that is left out
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
    """For each of ``new`` samples the two of ``old`` beside it, edges aligned, and how far on towards the second."""
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
    """(new, old): what a spline resize of a line of ``old`` samples to ``new`` does, as a matrix."""
    identity = np.eye(old)
    columns = [
        ndimage.zoom(identity[i], new / old, order=_SPLINE_ORDER, mode="nearest", grid_mode=True) for i in range(old)
    ]
    return torch.from_numpy(np.stack(columns, axis=1)).float()


def _nearest(old: int, new: int) -> Tensor:
    """Index of the old sample nearest to each new one, edges aligned; halves round up as in scipy."""
    position = (torch.arange(new, dtype=torch.float64) + 0.5) * (old / new) - 0.5
    return (position + 0.5).floor().long().clamp(0, old - 1)
