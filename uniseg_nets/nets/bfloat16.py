"""Convolutions that must not be computed in bfloat16 on a CPU, and how they are kept out of it.

The weight gradient of a bfloat16 convolution whose output is two voxels or less along an axis reads memory that nobody
wrote (PyTorch 2.13): it is garbage, now and then NaN. Such volumes cost next to nothing in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

__all__ = ["SmallConvolutionsInFloat32", "too_small_for_bfloat16"]

_SMALLEST = 4


def too_small_for_bfloat16(size: Sequence[int], stride: Sequence[int]) -> bool:
    """Whether a convolution of an input of this size (D, H, W) needs float32, with a margin."""
    return min(n // s for n, s in zip(size, stride)) < _SMALLEST


class SmallConvolutionsInFloat32(TorchFunctionMode):
    """While it is entered, autocast on a CPU leaves small 3D convolutions in float32, in any network.

    :class:`~uniseg_nets.nets.unet.ConvBlock` sees to its own; this is for networks made of other blocks, such as
    MONAI's UNETR with a patch of 16 voxels along an axis.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is not torch.conv3d or not torch.is_autocast_enabled("cpu") or args[0].device.type != "cpu":
            return func(*args, **kwargs)
        x, weight, bias, stride = args[:4]
        if max(weight.shape[2:]) == 1 or not too_small_for_bfloat16(x.shape[2:], stride):
            return func(*args, **kwargs)
        with torch.autocast("cpu", enabled=False):
            return func(x.float(), weight, bias, *args[3:], **kwargs)
