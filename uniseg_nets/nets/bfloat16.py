"""Keeps small convolutions in float32 on a CPU under bfloat16 autocast.

The weight gradient of a bfloat16 convolution whose output has two voxels or fewer along an axis reads uninitialised
memory (PyTorch 2.13): it is wrong, sometimes NaN. In float32 such small volumes cost almost nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

__all__ = ["SmallConvolutionsInFloat32", "too_small_for_bfloat16"]

_SMALLEST = 4
# Of conv3d, in their order.
_ARGUMENTS = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")


def too_small_for_bfloat16(size: Sequence[int], stride: Sequence[int]) -> bool:
    """Whether a convolution of an input of this size (D, H, W) needs float32, with a margin."""
    return min(n // s for n, s in zip(size, stride)) < _SMALLEST


class SmallConvolutionsInFloat32(TorchFunctionMode):
    """A context in which autocast on a CPU keeps small 3D convolutions in float32, in any network.

    :class:`~uniseg_nets.nets.unet.ConvBlock` does this itself. The context is for networks of other blocks, such as
    MONAI's UNETR with a patch of 16 voxels along an axis.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is not torch.conv3d or not torch.is_autocast_enabled("cpu"):
            return func(*args, **kwargs)
        given = {**dict(zip(_ARGUMENTS, args)), **kwargs}
        x, weight, stride = given["input"], given["weight"], given.get("stride", 1)
        strides = (stride,) * 3 if isinstance(stride, int) else tuple(stride)
        large = max(weight.shape[2:]) == 1 or not too_small_for_bfloat16(x.shape[-3:], strides)
        if x.device.type != "cpu" or large:
            return func(*args, **kwargs)
        with torch.autocast("cpu", enabled=False):
            return func(**{**given, "input": x.float()})
