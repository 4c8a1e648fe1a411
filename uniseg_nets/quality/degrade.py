"""Degrades scans on purpose, so that an estimate is not fitted to good cases alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from monai.data import MetaTensor
from monai.transforms import (
    AdjustContrast,
    GaussianSmooth,
    RandCoarseDropout,
    RandGibbsNoise,
    RandSimulateLowResolution,
)
from torch import Tensor

__all__ = ["degraded"]


def degraded(image: MetaTensor, seed: int) -> MetaTensor:
    """A loaded scan (C, x, y, z) with one simulated fault, slight to severe, on the same grid.

    The fault is noise, blur, another contrast, lower resolution, missing blocks or Gibbs ringing.

    Args:
        image: (C, x, y, z).
        seed: determines the fault and its strength.
    """
    rng = np.random.default_rng(seed)
    kind = _KINDS[int(rng.integers(len(_KINDS)))]
    worse = kind(image.as_tensor(), rng, seed)
    worse = worse.as_tensor() if isinstance(worse, MetaTensor) else worse
    return MetaTensor(worse.to(image.dtype), meta=image.meta)


def _noise(image: Tensor, rng: np.random.Generator, seed: int) -> Tensor:
    std = image.std(dim=(1, 2, 3), keepdim=True)
    return image + std * float(rng.uniform(0.2, 2)) * image.new_tensor(rng.standard_normal(image.shape))


def _blur(image: Tensor, rng: np.random.Generator, seed: int) -> Any:
    return GaussianSmooth(sigma=float(rng.uniform(1, 4)))(image)


def _contrast(image: Tensor, rng: np.random.Generator, seed: int) -> Any:
    gamma = float(rng.uniform(1.8, 4))
    return AdjustContrast(gamma if rng.random() < 0.5 else 1 / gamma)(image)


def _resolution(image: Tensor, rng: np.random.Generator, seed: int) -> Any:
    zoom = float(rng.uniform(0.15, 0.6))
    return _drawn(RandSimulateLowResolution(prob=1.0, zoom_range=(zoom, zoom)), seed, image)


def _missing(image: Tensor, rng: np.random.Generator, seed: int) -> Any:
    size = [max(2, int(n * rng.uniform(0.15, 0.4))) for n in image.shape[1:]]
    holes = RandCoarseDropout(holes=int(rng.integers(2, 7)), spatial_size=size, fill_value=float(image.min()), prob=1.0)
    return _drawn(holes, seed, image)


def _ringing(image: Tensor, rng: np.random.Generator, seed: int) -> Any:
    alpha = float(rng.uniform(0.6, 0.95))
    return _drawn(RandGibbsNoise(prob=1.0, alpha=(alpha, alpha)), seed, image)


def _drawn(transform: Any, seed: int, image: Tensor) -> Any:
    """The result of a random transform with a seed."""
    transform.set_random_state(seed)
    return transform(image)


_KINDS: tuple[Callable[[Tensor, np.random.Generator, int], Any], ...] = (
    _noise,
    _blur,
    _contrast,
    _resolution,
    _missing,
    _ringing,
)
