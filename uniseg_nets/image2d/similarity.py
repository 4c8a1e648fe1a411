"""Random rotation and scaling that preserve shapes."""

from __future__ import annotations

from typing import Any

from monai.transforms import RandAffined, RandAffineGrid

__all__ = ["RandSimilarityd"]


class RandSimilarityd(RandAffined):
    """Rotates by up to ``rotate_range`` radians and scales by 1 - ``scale_range`` to 1 + ``scale_range``, in one step.

    MONAI's ``RandAffined`` draws one factor per axis, which turns discs into ellipses, and a single number scales the
    rows alone. Here both axes have the same factor.

    Args:
        keys: images (C, H, W), which all get the same transform.
        prob: probability to transform a case.
        rotate_range, scale_range: see above.
        options: further arguments of ``RandAffined``, such as ``mode``, ``padding_mode`` and ``allow_missing_keys``.
    """

    def __init__(
        self, keys: Any, prob: float = 0.1, rotate_range: float = 0.0, scale_range: float = 0.0, **options: Any
    ) -> None:
        super().__init__(keys, prob=prob, **options)
        self.rand_affine.rand_affine_grid = _OneScale(rotate_range=rotate_range, scale_range=scale_range)


class _OneScale(RandAffineGrid):
    """An affine grid with the first factor for both axes."""

    def randomize(self, data: Any | None = None) -> None:
        super().randomize(data)
        self.scale_params = (self.scale_params or [1.0]) * 2
