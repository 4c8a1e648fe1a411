"""The U-Net of all 3D networks here: blocks, encoder, decoder.

A plain nnU-Net 3D U-Net of six resolutions (Isensee et al., Nature Methods 2021), as the official UniSeg release
trained it: convolutions with bias, instance normalisation, leaky ReLU 0.01, strided down-sampling.

Shapes: B batch, C channels, F features of a stage, (D, H, W) size of the input in (z, y, x).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from uniseg_nets.nets.bfloat16 import too_small_for_bfloat16

__all__ = ["STRIDES", "TOTAL_STRIDE", "ConvBlock", "Decoder", "Encoder", "check_size", "initialise", "stage_features"]

Size = tuple[int, int, int]

# Down-sampling (z, y, x) into each stage; the first stage keeps the input's size.
STRIDES = ((1, 1, 1), (1, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2))
# Product of all strides: an input's size must be a multiple of it.
TOTAL_STRIDE = (16, 32, 32)
_SLOPE = 0.01


def stage_features(base_features: int, max_features: int) -> list[int]:
    """Features of the six stages: doubled from stage to stage, up to ``max_features``."""
    return [min(base_features * 2**stage, max_features) for stage in range(len(STRIDES))]


def check_size(size: Sequence[int]) -> None:
    """Checks a spatial size (z, y, x) against the strides.

    Raises:
        ValueError: if the strides do not divide the size, or leave a single voxel at the bottleneck; the message says
            what to do.
    """
    if len(size) != 3 or any(n < s or n % s for n, s in zip(size, TOTAL_STRIDE)):
        raise ValueError(
            f"input size (z, y, x) {tuple(size)} is not a multiple of {TOTAL_STRIDE}: "
            f"pad the image, or choose a patch size that is"
        )
    if tuple(size) == TOTAL_STRIDE:
        raise ValueError(
            f"input size (z, y, x) {tuple(size)} leaves one voxel at the bottleneck, which cannot be normalised: "
            "double one axis at least"
        )


def initialise(module: nn.Module) -> None:
    """Initialises a convolution with He normal weights and zero bias; for ``module.apply``.

    Without memory for its weights (``meta``) it stays as it is: PyTorch would import its compiler for random numbers.
    """
    if isinstance(module, (nn.Conv3d, nn.ConvTranspose3d)) and not module.weight.is_meta:
        nn.init.kaiming_normal_(module.weight, a=_SLOPE)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _same(kernel: Size) -> Size:
    """The padding that keeps a volume's size."""
    return kernel[0] // 2, kernel[1] // 2, kernel[2] // 2


def _norm(features: int) -> nn.InstanceNorm3d:
    return nn.InstanceNorm3d(features, eps=1e-5, affine=True)


class ConvBlock(nn.Module):
    """Convolution, instance normalisation, leaky ReLU: (B, C, D, H, W) -> (B, F, D / stride, ...)."""

    def __init__(
        self,
        in_channels: int,
        features: int,
        kernel: Size = (3, 3, 3),
        stride: Size = (1, 1, 1),
    ):
        super().__init__()
        self.conv = nn.Conv3d(in_channels, features, kernel, stride, _same(kernel))
        self.norm = _norm(features)
        self.act = nn.LeakyReLU(_SLOPE, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        if not torch.jit.is_scripting():  # noqa: SIM102 - TorchScript has no autocast
            if self._needs_float32(x):
                with torch.autocast(x.device.type, enabled=False):
                    return self.act(self.norm(self.conv(x.float())))
        return self.act(self.norm(self.conv(x)))

    @torch.jit.unused
    def _needs_float32(self, x: Tensor) -> bool:
        """Whether reduced precision would give wrong gradients, see :mod:`uniseg_nets.nets.bfloat16`."""
        if x.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            return False
        return too_small_for_bfloat16(x.shape[2:], self.conv.stride)


class Stem(nn.Module):
    """The first block, with one convolution per channel count; norm and activation are shared.

    Raises:
        ValueError: from ``forward``, if no convolution takes the input's channel count.
    """

    def __init__(self, in_channels: Sequence[int], features: int, kernel: Size):
        super().__init__()
        self.convs = nn.ModuleDict(
            {str(c): nn.Conv3d(c, features, kernel, padding=_same(kernel)) for c in sorted(set(in_channels))}
        )
        self.accepted = ", ".join(self.convs)
        self.norm = _norm(features)
        self.act = nn.LeakyReLU(_SLOPE, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs.values():
            if conv.in_channels == x.shape[1]:
                return self.act(self.norm(conv(x)))
        raise ValueError(
            f"input has {x.shape[1]} channels, the network takes {self.accepted}: stack the modalities that the task "
            "reads, in its order (`uniseg tasks` lists them)"
        )


class Encoder(nn.Module):
    """Six stages of two blocks each: (B, C, D, H, W) -> list of (B, F_i, D_i, H_i, W_i), finest first.

    Args:
        in_channels: channel counts that an input may have.
        features: features per stage, see :func:`stage_features`.
    """

    def __init__(self, in_channels: Sequence[int], features: Sequence[int]):
        super().__init__()
        self.stem = Stem(in_channels, features[0], (1, 3, 3))
        stages: list[nn.Module] = [ConvBlock(features[0], features[0], (1, 3, 3))]
        for stage in range(1, len(features)):
            stages.append(
                nn.Sequential(
                    ConvBlock(features[stage - 1], features[stage], stride=STRIDES[stage]),
                    ConvBlock(features[stage], features[stage]),
                )
            )
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.stem(x)
        features: list[Tensor] = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


class Decoder(nn.Module):
    """Five levels of up-sampling, skip connection, two blocks and a 1x1x1 head.

    Args:
        features: features of the encoder's stages, finest first.
        out_channels: channels of every head.
        extra_channels: channels that are concatenated to the bottleneck (UniSeg's prompt has one).
    """

    def __init__(self, features: Sequence[int], out_channels: int, extra_channels: int = 0):
        super().__init__()
        upsamples: list[nn.Module] = []
        stages: list[nn.Module] = []
        heads: list[nn.Module] = []
        below = features[-1] + extra_channels
        for level in reversed(range(len(features) - 1)):
            width, stride = features[level], STRIDES[level + 1]
            upsamples.append(nn.ConvTranspose3d(below, width, stride, stride, bias=False))
            stages.append(nn.Sequential(ConvBlock(2 * width, width), ConvBlock(width, width)))
            heads.append(nn.Conv3d(width, out_channels, 1, bias=False))
            below = width
        self.upsamples = nn.ModuleList(upsamples)
        self.stages = nn.ModuleList(stages)
        self.heads = nn.ModuleList(heads)

    def forward(self, features: list[Tensor], bottom: Tensor, all_levels: bool = False) -> list[Tensor]:
        """Computes the logits of every level, or of the finest one alone.

        Args:
            features: output of :class:`Encoder`.
            bottom: (B, F_5 + extra_channels, d, h, w), the bottleneck with the extra channels.
            all_levels: compute the coarser heads too (deep supervision).

        Returns:
            Logits (B, K, D_i, H_i, W_i), finest first.
        """
        x = bottom
        logits: list[Tensor] = []
        skip = len(features) - 2
        for upsample, stage, head in zip(self.upsamples, self.stages, self.heads):
            x = stage(torch.cat((upsample(x), features[skip]), dim=1))
            if all_levels or skip == 0:
                logits.insert(0, head(x))
            skip -= 1
        return logits

    def decode_levels(self, features: list[Tensor], x: Tensor, start: int, stop: int) -> Tensor:
        """Features of level ``stop - 1`` from the input of level ``start``; level 0 is the one above the bottleneck."""
        skip = len(features) - 2
        for upsample, stage in zip(self.upsamples, self.stages):
            level = len(features) - 2 - skip
            if level >= start and level < stop:
                x = stage(torch.cat((upsample(x), features[skip]), dim=1))
            skip -= 1
        return x
