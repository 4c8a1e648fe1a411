"""Small modules that several parts of ESP-MedSAM use."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

__all__ = ["ConvNorm", "FourierPositions", "LayerNorm2d"]


class LayerNorm2d(nn.Module):
    """Layer normalisation over the channels of (B, C, H, W), as in SAM."""

    def __init__(self, channels: int, eps: float = 1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        variance, mean = torch.var_mean(x, dim=1, keepdim=True, correction=0)
        x = (x - mean) / torch.sqrt(variance + self.eps)
        return self.weight[:, None, None] * x + self.bias[:, None, None]


class ConvNorm(nn.Sequential):
    """Convolution without bias, then batch norm, named ``c`` and ``bn`` as in MobileSAM's file."""

    def __init__(self, in_channels: int, channels: int, kernel: int = 1, stride: int = 1, groups: int = 1):
        super().__init__()
        self.add_module("c", nn.Conv2d(in_channels, channels, kernel, stride, kernel // 2, groups=groups, bias=False))
        self.add_module("bn", nn.BatchNorm2d(channels))


class FourierPositions(nn.Module):
    """SAM's position encoding by random Fourier features, a fixed buffer.

    Args:
        channels: C, an even number.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, channels // 2))

    def forward(self, height: int, width: int) -> Tensor:
        """Encodings of the centres of ``height`` x ``width`` cells, (1, C, height, width)."""
        matrix = cast(Tensor, self.positional_encoding_gaussian_matrix)
        y, x = (((torch.arange(n, device=matrix.device) + 0.5) / n * 2 - 1) for n in (height, width))
        grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).to(matrix.dtype)
        with torch.autocast(matrix.device.type, enabled=False):  # of large angles bfloat16 keeps no fraction
            angles = 2 * torch.pi * (grid @ matrix)
        return torch.cat([angles.sin(), angles.cos()], dim=-1).permute(2, 0, 1)[None]
