"""Random rotation and scaling of a picture that keep its shapes."""

from __future__ import annotations

from typing import Any

from monai.transforms import RandAffined, RandAffineGrid

__all__ = ["RandSimilarityd"]


class RandSimilarityd(RandAffined):
    """Rotates by up to ``rotate_range`` radians and scales by 1 - ``scale_range`` to 1 + ``scale_range``, in one step.

    MONAI's ``RandAffined`` draws one factor per axis, which makes ellipses of discs, and a single number scales the
    rows alone; here both axes have one factor.

    Args:
        keys: pictures (C, H, W) that are transformed alike.
        prob: with which a case is transformed.
        rotate_range, scale_range: see above.
        options: further ones of ``RandAffined``, such as ``mode``, ``padding_mode`` and ``allow_missing_keys``.
    """

    def __init__(
        self, keys: Any, prob: float = 0.1, rotate_range: float = 0.0, scale_range: float = 0.0, **options: Any
    ) -> None:
        super().__init__(keys, prob=prob, **options)
        self.rand_affine.rand_affine_grid = _OneScale(rotate_range=rotate_range, scale_range=scale_range)


class _OneScale(RandAffineGrid):
    """A grid whose first factor holds for both axes."""

    def randomize(self, data: Any | None = None) -> None:
        super().randomize(data)
        self.scale_params = (self.scale_params or [1.0]) * 2
