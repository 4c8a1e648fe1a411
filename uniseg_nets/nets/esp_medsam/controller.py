"""The modality controller: the parameters of the encoder for one modality.

Xu et al. 2024 (arXiv 2407.14153), section on the modality controller. Shapes: B batch, N tokens, C channels, A heads.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["BlockController", "MixedPart", "ModalityController"]


class BlockController(nn.Module):
    """The controller of one transformer block: an extra token for its attention, and an expert parallel to its MLP.

    The expert has no effect at the start: its last layer is zero.

    Args:
        channels: C, channels of the block.
        heads: A, attention heads of the block.
    """

    def __init__(self, channels: int, heads: int):
        super().__init__()
        self.token = nn.Parameter(torch.zeros(heads, channels // heads))
        self.bias = nn.Parameter(torch.zeros(1))
        self.expert = nn.Sequential(
            nn.LayerNorm(channels),
            nn.Linear(channels, 4 * channels),
            nn.GELU(),
            nn.Linear(4 * channels, channels),
        )
        nn.init.trunc_normal_(self.token, std=0.02)
        last = self.expert[3]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def extend(self, key: Tensor, value: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Adds the token to keys and values (B, A, N, C / A), and its bias to the attention's (A, N, N)."""
        token = self.token[None, :, None].expand(key.shape[0], -1, -1, -1)
        column = self.bias.expand(*bias.shape[:-1], 1)
        return torch.cat([key, token], 2), torch.cat([value, token], 2), torch.cat([bias, column], -1)


class MixedPart:
    """The controller of one block for a batch of several modalities: one :class:`BlockController` per sample.

    It has the interface of a :class:`BlockController`.
    """

    def __init__(self, parts: Sequence[BlockController]):
        self.parts = parts

    def extend(self, key: Tensor, value: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Like :meth:`BlockController.extend`, for keys and values (B x windows, A, N, C / A)."""
        windows = key.shape[0] // len(self.parts)
        token = torch.stack([part.token for part in self.parts]).repeat_interleave(windows, 0)[:, :, None]
        own = torch.cat([part.bias for part in self.parts]).repeat_interleave(windows)[:, None, None, None]
        bias = bias.expand(key.shape[0], -1, -1, -1)
        column = own.expand(*bias.shape[:-1], 1)
        return torch.cat([key, token], 2), torch.cat([value, token], 2), torch.cat([bias, column], -1)

    def expert(self, tokens: Tensor) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        return torch.cat([part.expert(own[None]) for part, own in zip(self.parts, tokens)])


class ModalityController(nn.ModuleList):
    """One :class:`BlockController` per transformer block of the encoder, in order.

    Args:
        blocks: (channels, heads) per block.
    """

    def __init__(self, blocks: Sequence[tuple[int, int]]):
        super().__init__(BlockController(channels, heads) for channels, heads in blocks)
