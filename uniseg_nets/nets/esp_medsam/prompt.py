"""SPPG, the self-patch prompt generator: it predicts patches with foreground, which replace clicks and boxes.

Xu et al. 2024 (arXiv 2407.14153), section on SPPG. Shapes: B batch, C channels, (h, w) size of the embedding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from uniseg_nets.nets.esp_medsam.parts import LayerNorm2d

__all__ = ["PatchPromptGenerator"]

_HIDDEN = 64
_THRESHOLD = 0.5


class PatchPromptGenerator(nn.Module):
    """Image embedding (B, C, h, w) -> patch logits (B, 1, h / 2, w / 2) and the dense prompt (B, C, h, w).

    The logits are trained by the max-pooled mask alone: no gradient of the prompt reaches them.

    Args:
        channels: C, channels of the embedding.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.patches = nn.Sequential(
            nn.Conv2d(channels, _HIDDEN, 2, 2), LayerNorm2d(_HIDDEN), nn.GELU(), nn.Conv2d(_HIDDEN, 1, 1)
        )
        self.embed = nn.Sequential(nn.Conv2d(1, channels, 1), LayerNorm2d(channels), nn.GELU())

    def forward(self, embedding: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.patches(embedding)
        chosen = (torch.sigmoid(logits.detach()) >= _THRESHOLD).to(embedding.dtype)
        return logits, self.embed(F.interpolate(chosen, size=embedding.shape[2:], mode="nearest"))
