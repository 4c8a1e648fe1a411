"""QDMD, the query-decoupled modality decoder: one query, one decoding channel and one mask MLP a modality.

Xu et al. 2024 (arXiv 2407.14153), section on QDMD; the two-way transformer is SAM's (Kirillov et al. 2023), from MONAI.
Letters: B batch, C channels, (h, w) size of the embedding.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.nets.vista3d import TwoWayTransformer
from torch import Tensor, nn

from uniseg_nets.nets.esp_medsam.parts import FourierPositions, LayerNorm2d

__all__ = ["ModalityDecoder"]

_SHARED = "all"


class ModalityDecoder(nn.Module):
    """Prompted embedding (B, C, h, w) and modalities -> mask logits (B, 1, 4 h, 4 w).

    Args:
        channels: C.
        heads: of the transformer's attention.
        mlp_dim: of the transformer.
        depth: of the transformer.
        shared_query: one query and one MLP for all modalities, for comparison.
    """

    def __init__(
        self,
        channels: int = 256,
        heads: int = 8,
        mlp_dim: int = 2048,
        depth: int = 2,
        shared_query: bool = False,
    ):
        super().__init__()
        self.shared_query = shared_query
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
        self.queries = nn.ParameterDict()
        self.filters = nn.ModuleDict()
        if shared_query:
            self._open(_SHARED)

    def add(self, modality: str) -> None:
        """A decoding channel for one more modality; with a shared query there is nothing to add."""
        if not self.shared_query:
            self._open(modality)

    def _open(self, name: str) -> None:
        width = self.channels
        self.queries[name] = nn.Parameter(torch.randn(1, 1, width))
        self.filters[name] = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width // 8)
        )

    def forward(self, embedding: Tensor, modalities: Sequence[str]) -> Tensor:
        """``modalities`` is one name for all samples, or one for each."""
        names = [_SHARED] if self.shared_query else modalities
        batch, _, height, width = embedding.shape
        positions = self.positions(height, width).expand(batch, -1, -1, -1)
        query = torch.cat([self.queries[name] for name in names]).expand(batch, -1, -1)
        query, keys = self.transformer(embedding, positions, query)
        maps = self.upscale(keys.transpose(1, 2).reshape(embedding.shape))
        # The mask's own filter, (B, C / 8).
        weights = torch.cat([self.filters[name](own) for name, own in zip(names, query[:, 0].chunk(len(names)))])
        return torch.einsum("bc,bchw->bhw", weights, maps)[:, None]
