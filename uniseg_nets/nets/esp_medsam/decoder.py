"""QDMD, the query-decoupled modality decoder: one query, one decoding channel and one mask MLP per modality.

Xu et al. 2024 (arXiv 2407.14153), section on QDMD and its figure; the two-way transformer is SAM's (Kirillov et al.
2023), from MONAI. The release's different decoder is in :mod:`~uniseg_nets.nets.esp_medsam.release_decoder`.
Shapes: B batch, C channels, (h, w) size of the embedding.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.nets.vista3d import TwoWayTransformer
from torch import Tensor, nn

from uniseg_nets.nets.esp_medsam.parts import FourierPositions, LayerNorm2d

__all__ = ["ModalityDecoder", "QueryDecoder", "mask_mlp"]


def mask_mlp(channels: int) -> nn.Sequential:
    """An MLP from a query (B, C) to the filter of its mask (B, C / 8)."""
    return nn.Sequential(
        nn.Linear(channels, channels),
        nn.ReLU(),
        nn.Linear(channels, channels),
        nn.ReLU(),
        nn.Linear(channels, channels // 8),
    )


class QueryDecoder(nn.Module):
    """The base class of the paper's and the release's decoders: SAM's two-way transformer, and up-sampled maps.

    Args:
        channels: C, channels of the embedding.
        heads: attention heads of the transformer.
        mlp_dim: width of the transformer's MLPs.
        depth: layers of the transformer.
    """

    def __init__(self, channels: int, heads: int, mlp_dim: int, depth: int):
        super().__init__()
        self.channels = channels
        self.positions = FourierPositions(channels)
        self.transformer = TwoWayTransformer(depth, channels, heads, mlp_dim)
        self.upscale = nn.Sequential(
            nn.ConvTranspose2d(channels, channels // 4, 2, 2),
            LayerNorm2d(channels // 4),
            nn.GELU(),
            nn.ConvTranspose2d(channels // 4, channels // 8, 2, 2),
            nn.GELU(),
        )

    def attend(self, embedding: Tensor, queries: Tensor) -> tuple[Tensor, Tensor]:
        """Embedding (B, C, h, w) and queries (B, Q, C) -> queries (B, Q, C) and maps (B, C / 8, 4 h, 4 w)."""
        batch, _, height, width = embedding.shape
        positions = self.positions(height, width).expand(batch, -1, -1, -1)
        queries, keys = self.transformer(embedding, positions, queries)
        return queries, self.upscale(keys.transpose(1, 2).reshape(embedding.shape))

    @staticmethod
    def masks(filters: Tensor, maps: Tensor) -> Tensor:
        """Filters (B, C / 8) on maps (B, C / 8, H, W) -> mask logits (B, 1, H, W)."""
        return torch.einsum("bc,bchw->bhw", filters, maps)[:, None]


class ModalityDecoder(QueryDecoder):
    """Prompted embedding (B, C, h, w) and modalities -> mask logits (B, 1, 4 h, 4 w).

    Args:
        channels, heads, mlp_dim, depth: as for :class:`QueryDecoder`.
    """

    def __init__(self, channels: int, heads: int, mlp_dim: int, depth: int):
        super().__init__(channels, heads, mlp_dim, depth)
        self.queries = nn.ParameterDict()
        self.filters = nn.ModuleDict()

    def add(self, modality: str) -> None:
        """Adds a decoding channel for one more modality."""
        self.queries[modality] = nn.Parameter(torch.randn(1, 1, self.channels))
        self.filters[modality] = mask_mlp(self.channels)

    def forward(self, embedding: Tensor, modalities: Sequence[str]) -> Tensor:
        """Mask logits; ``modalities`` has one name for all samples, or one per sample."""
        query = torch.cat([self.queries[name] for name in modalities]).expand(embedding.shape[0], -1, -1)
        query, maps = self.attend(embedding, query)
        filters = [self.filters[name](own) for name, own in zip(modalities, query[:, 0].chunk(len(modalities)))]
        return self.masks(torch.cat(filters), maps)
