"""The decoder's work that is the same for all tasks of a window: what its convolutions compute of the skips.

Each level's first convolution reads the upsampled features, which depend on the task, and the encoder's features of the
skip connection, which do not. A convolution is linear: its sums over both may be computed apart. For a second task of
the same window a third of the decoder's multiplications is then already done.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from uniseg_nets.nets.unet import ConvBlock, Decoder

__all__ = ["SharedLevels", "SkipShares"]


def _blocks(decoder: Decoder, level: int) -> tuple[ConvBlock, ConvBlock]:
    first, second = cast(nn.Sequential, decoder.stages[level])
    return cast(ConvBlock, first), cast(ConvBlock, second)


class SkipShares(nn.Module):
    """Encoder features -> what the first convolutions of some levels compute of them, bias included.

    Args:
        decoder: the decoder.
        levels: its levels; level 0 is the one above the bottleneck.
    """

    def __init__(self, decoder: Decoder, levels: Sequence[int]):
        super().__init__()
        self.convs = nn.ModuleList(_blocks(decoder, level)[0].conv for level in levels)

    def forward(self, *skips: Tensor) -> tuple[Tensor, ...]:
        """(B, F_i, D_i, H_i, W_i) of each level -> the same shapes."""
        shares = []
        for skip, module in zip(skips, self.convs):
            conv = cast(nn.Conv3d, module)
            shares.append(F.conv3d(skip, conv.weight[:, -skip.shape[1] :], conv.bias, padding=conv.padding))
        return tuple(shares)


class SharedLevels(nn.Module):
    """Some successive levels of a decoder, with the shares of :class:`SkipShares` in the skips' place.

    Args:
        decoder: the decoder.
        levels: its levels, as for :class:`SkipShares`.
        with_features: return the last level's features beside its logits.
    """

    def __init__(self, decoder: Decoder, levels: Sequence[int], with_features: bool):
        super().__init__()
        self.decoder, self.levels, self.with_features = decoder, tuple(levels), with_features

    def forward(self, x: Tensor, *shares: Tensor) -> tuple[Tensor, ...]:
        """Features below (B, F, d, h, w) and the shares -> the features of the last level, and its logits."""
        for level, share in zip(self.levels, shares):
            first, second = _blocks(self.decoder, level)
            up = self.decoder.upsamples[level](x)
            y = F.conv3d(up, first.conv.weight[:, : up.shape[1]], padding=first.conv.padding) + share
            x = second(first.act(first.norm(y)))
        logits = self.decoder.heads[self.levels[-1]](x)
        return (x, logits) if self.with_features else (logits,)
