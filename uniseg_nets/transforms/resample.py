"""Resampling with the official pipeline's semantics, at the speed of matrix products.

The release resizes with skimage's ``resize`` (spline, edges of voxels aligned, no anti-aliasing). A spline resize is
linear and separable, so one small matrix an axis says it all; scipy makes that matrix, and torch multiplies with it.

Letters: C channels, (D, H, W) old size in (z, y, x), (d, h, w) new size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

__all__ = ["resample_argmax", "resample_image", "resample_labels"]

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
        mask = (label == value)[None]
        for start, stop, slab in _linear_slabs(mask, size, coarse_axis):
            result[start:stop][slab[0] >= 0.5] = value
    return result


def resample_argmax(scores: Tensor, size: Sequence[int], coarse_axis: int | None = None) -> Tensor:
    """Linear resampling of class scores or masks and their argmax, (C, D, H, W) -> uint8 (d, h, w).

    Never holds more than a slab of full-resolution scores.
    """
    if tuple(scores.shape[1:]) == tuple(size):
        return scores.float().argmax(0).to(torch.uint8)
    result = torch.empty(tuple(size), dtype=torch.uint8, device=scores.device)
    for start, stop, slab in _linear_slabs(scores, size, coarse_axis):
        result[start:stop] = slab.argmax(0)
    return result


def _linear_slabs(volume: Tensor, size: Sequence[int], coarse_axis: int | None) -> Iterator[tuple[int, int, Tensor]]:
    """Yields (start, stop, resampled slices (C, stop - start, h, w)) along z."""
    depth, height, width = size
    if coarse_axis in (1, 2):
        wanted = _nearest(volume.shape[coarse_axis + 1], size[coarse_axis]).to(volume.device)
    position = ((torch.arange(depth, dtype=torch.float64) + 0.5) * (volume.shape[1] / depth) - 0.5).clamp(
        0, volume.shape[1] - 1
    )
    for start in range(0, depth, _SLAB):
        stop = min(start + _SLAB, depth)
        if coarse_axis == 0:
            slab = volume[:, _nearest(volume.shape[1], depth)[start:stop].to(volume.device)].float()
        else:
            low = position[start:stop].floor().long()
            high = (low + 1).clamp(max=volume.shape[1] - 1)
            weight = (position[start:stop] - low).float().to(volume.device)[:, None, None]
            low, high = low.to(volume.device), high.to(volume.device)
            slab = torch.lerp(volume[:, low].float(), volume[:, high].float(), weight)
        if coarse_axis in (1, 2):  # the plane's other axis alone is linear
            slab = slab.index_select(coarse_axis + 1, wanted)
        # Where the size is already the wanted one, bilinear interpolation changes nothing.
        yield start, stop, F.interpolate(slab, (height, width), mode="bilinear", align_corners=False)


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
