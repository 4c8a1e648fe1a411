"""The release's QDMD: all queries attend together, the channel is chosen afterwards, one mask MLP serves all.

Source: xq141839/ESP-MedSAM (commit 9c3ade6), ``model.py`` and ``SAM/modeling/mask_decoder.py``. Shapes: B batch,
C channels, (h, w) size of the embedding.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from uniseg_nets.nets.esp_medsam.decoder import QueryDecoder, mask_mlp
from uniseg_nets.nets.esp_medsam.modalities import MODALITIES

__all__ = ["ReleaseDecoder"]

# The release has seven queries. The seventh takes part in the attention and has no mask.
_QUERIES = len(MODALITIES) + 1


class ReleaseDecoder(QueryDecoder):
    """Prompted embedding (B, C, h, w) and modalities -> mask logits (B, 1, 4 h, 4 w).

    Unlike in :class:`~uniseg_nets.nets.esp_medsam.decoder.ModalityDecoder` the queries attend to each other, so that a
    modality's mask depends on every query. A further modality would change all others: only the paper's six are
    possible.

    Args:
        channels, heads, mlp_dim, depth: as for :class:`~uniseg_nets.nets.esp_medsam.decoder.QueryDecoder`.
    """

    def __init__(self, channels: int, heads: int, mlp_dim: int, depth: int):
        super().__init__(channels, heads, mlp_dim, depth)
        self.queries = nn.Parameter(torch.randn(_QUERIES, channels))
        self.filter = mask_mlp(channels)

    def add(self, modality: str) -> None:
        """Checks that the release has a channel for a modality.

        Raises:
            ValueError: if it has none.
        """
        if modality not in MODALITIES:
            raise ValueError(
                f"the release's decoder has no channel for {modality!r}, only for {', '.join(MODALITIES)}: "
                "layout 'paper' takes further modalities"
            )

    def forward(self, embedding: Tensor, modalities: Sequence[str]) -> Tensor:
        """Mask logits; ``modalities`` has one name for all samples, or one per sample."""
        queries, maps = self.attend(embedding, self.queries.expand(embedding.shape[0], -1, -1))
        channels = [MODALITIES.index(name) for name in modalities]
        own = queries[:, channels[0]] if len(channels) == 1 else queries[torch.arange(len(channels)), channels]
        return self.masks(self.filter(own), maps)
