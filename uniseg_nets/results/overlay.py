"""The overlay of a label map on an image, the same in 3D and in 2D."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uniseg_nets.results.colours import rgb

__all__ = ["with_overlay"]

_OPACITY = 0.5


def with_overlay(image: NDArray[Any], label: NDArray[Any], values: Sequence[int]) -> NDArray[np.uint8]:
    """Blends the classes of a label map with an image.

    Args:
        image: grey (H, W) or colours (H, W, 3), from 0 to 1.
        label: (H, W), label values.
        values: label values in the order of their colours.

    Returns:
        Red, green and blue (H, W, 3), 0 to 255.
    """
    colours = np.clip(image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=-1), 0, 1) * 255
    for index, value in enumerate(values):
        inside = label == value
        colours[inside] = (1 - _OPACITY) * colours[inside] + _OPACITY * np.asarray(rgb(index))
    return colours.round().astype(np.uint8)
