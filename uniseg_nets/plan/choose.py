"""Chooses spacing and patch from the fingerprint of a data set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from uniseg_nets.nets.unet import TOTAL_STRIDE
from uniseg_nets.tasks import ANISOTROPY

__all__ = ["choose_patch", "choose_spacing", "looks_like_hounsfield"]

# Training memory in bytes per voxel of the patch, case of the batch and feature of the first stage (float32, measured
# by benchmarks/training.py). Reduced precision needs less.
_BYTES = 145
_GIB = 2**30


def choose_spacing(spacings: ArrayLike, shapes: ArrayLike) -> tuple[float, float, float]:
    """The median spacing (z, y, x) in mm; along a much coarser axis the 10th percentile, as in nnU-Net."""
    spacings = np.asarray(spacings)
    spacing, shape = np.median(spacings, axis=0), np.median(np.asarray(shapes), axis=0)
    coarse = int(np.argmax(spacing))
    others = [axis for axis in range(3) if axis != coarse]
    if spacing[coarse] > ANISOTROPY * max(spacing[others]) and shape[coarse] * ANISOTROPY < min(shape[others]):
        spacing[coarse] = max(np.percentile(spacings[:, coarse], 10), max(spacing[others]))
    z, y, x = (round(float(mm), 4) for mm in spacing)
    return z, y, x


def choose_patch(
    size: Sequence[float], memory_gib: float, base_features: int = 32, batch_size: int = 2
) -> tuple[int, ...]:
    """A patch (z, y, x) that covers a typical case as evenly as the memory allows.

    Args:
        size: (z, y, x) voxels of a typical case at the chosen spacing.
        memory_gib: memory of one training step in GiB.
        base_features: features of the network's first stage.
        batch_size: patches per step.

    Raises:
        ValueError: if not even the smallest patch fits.
    """
    strides = np.asarray(TOTAL_STRIDE)
    patch = strides * np.maximum(np.ceil(np.asarray(size) / strides), 1).astype(int)
    if (patch == strides).all():
        patch[0] *= 2  # one voxel at the bottleneck cannot be normalised
    budget = memory_gib * _GIB / (_BYTES * base_features * batch_size)
    while patch.prod() > budget:
        smaller = patch - strides
        fits = (smaller > 0) & ~np.array([_is_smallest(patch, axis) for axis in range(3)])
        if not fits.any():
            need = patch.prod() * _BYTES * base_features * batch_size / _GIB
            raise ValueError(f"{memory_gib:g} GiB hold no patch, the smallest needs {need:.1f}: fewer base_features?")
        cover = np.where(fits, smaller / np.asarray(size), -1)
        axis = int(np.argmax(cover))  # the axis that still covers most after the reduction
        patch[axis] -= strides[axis]
    return tuple(int(n) for n in patch)


def _is_smallest(patch: np.ndarray, axis: int) -> bool:
    """Whether a reduction along this axis would leave one voxel at the bottleneck."""
    reduced = patch.copy()
    reduced[axis] -= TOTAL_STRIDE[axis]
    return bool((reduced == np.asarray(TOTAL_STRIDE)).all())


def looks_like_hounsfield(low: float, high: float) -> bool:
    """Whether a channel with this minimum and maximum is a CT: air is near -1000, bone far above 100."""
    return low <= -500 and high > 100
