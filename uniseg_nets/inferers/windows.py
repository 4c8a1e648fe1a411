"""Positions and Gaussian weights of sliding windows."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter1d
from torch import Tensor
from torch.nn import functional as F

__all__ = ["all_starts", "gaussian_window", "pad_to", "window_at", "window_starts"]

_SIGMA_SCALE = 0.125


def window_starts(size: int, roi: int, overlap: float) -> list[int]:
    """First voxels of the windows along one axis. They are evenly spaced and reach both borders."""
    steps = max(int(np.ceil((size - roi) / (roi * (1 - overlap)))), 0)
    if steps == 0:
        return [0]
    return [int(np.round((size - roi) / steps * step)) for step in range(steps + 1)]


def all_starts(size: Sequence[int], roi_size: Sequence[int], overlap: float) -> tuple[tuple[int, ...], ...]:
    """First voxels (z, y, x) of the windows over a volume; (0, 0, 0) alone if it is smaller than a window."""
    return tuple(itertools.product(*(window_starts(n, roi, overlap) for n, roi in zip(size, roi_size))))


def window_at(start: Sequence[int], roi_size: Sequence[int]) -> Any:
    """The index of a window in the last three axes of a tensor."""
    return (..., *(slice(first, first + n) for first, n in zip(start, roi_size)))


def gaussian_window(roi_size: Sequence[int]) -> np.ndarray:
    """Weights of a window's voxels, float32 (z, y, x): 1 in the centre, positive everywhere."""
    lines = []
    for n in roi_size:
        line = np.zeros(n)
        line[n // 2] = 1
        lines.append(gaussian_filter1d(line, n * _SIGMA_SCALE, mode="constant"))
    window = lines[0][:, None, None] * lines[1][:, None] * lines[2]
    window = (window / window.max()).astype(np.float32)
    return np.maximum(window, window[window > 0].min())


def pad_to(volume: Tensor, size: Sequence[int]) -> Tensor:
    """Pads the last three axes with zeros, evenly on both sides, to at least ``size``."""
    pads = [max(wanted - n, 0) for wanted, n in zip(size, volume.shape[2:])]
    return F.pad(volume, [side for pad in reversed(pads) for side in (pad // 2, pad - pad // 2)])
