"""UniSeg's prompts, which give the decoder its task: universal prompt, FUSE, task-specific prompts.

Ye et al., MICCAI 2023, section 2.2. Shapes: B batch, T tasks, F bottleneck features, (d, h, w) bottleneck size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from uniseg_nets.nets.unet import TOTAL_STRIDE, ConvBlock

__all__ = ["TaskPrompts"]


class TaskPrompts(nn.Module):
    """Fuses a learnable universal prompt with the image's features into one prompt per task.

    The universal prompt is stored at the bottleneck size of ``patch_size`` and interpolated to other sizes.

    Args:
        features: F, channels of the bottleneck.
        num_tasks: T, number of tasks.
        patch_size: (z, y, x) of the training patch, multiples of (16, 32, 32).
    """

    def __init__(self, features: int, num_tasks: int, patch_size: Sequence[int]):
        super().__init__()
        size = [n // s for n, s in zip(patch_size, TOTAL_STRIDE)]
        self.universal = nn.Parameter(torch.empty(1, num_tasks, *size))
        if not self.universal.is_meta:  # for numbers that nobody can read PyTorch would import its compiler
            nn.init.normal_(self.universal)
        hidden = (features + num_tasks) // 4
        self.fuse = nn.Sequential(
            ConvBlock(features + num_tasks, hidden),
            ConvBlock(hidden, hidden),
            ConvBlock(hidden, num_tasks),
        )

    def make_distinct(self, highest: float = 4.0, noise: float = 0.3) -> None:
        """Initialises the prompts so that each task has another mean.

        FUSE ends with an instance norm, which removes the mean of every prompt, and a leaky ReLU, which flattens
        negative values. An untrained decoder therefore cannot distinguish the prompts. Here the norm's biases run from
        0 to ``highest``, and its weights are ``noise``, the standard deviation of the features. The up-sampling turns
        the mean into a texture of that height, which the decoder's norms do not remove.

        Args:
            highest: bias of the last task.
            noise: standard deviation of each prompt.
        """
        with torch.no_grad():
            norm = cast(ConvBlock, self.fuse[-1]).norm
            norm.bias.copy_(torch.linspace(0, highest, norm.num_features))
            norm.weight.fill_(noise)

    def forward(self, bottleneck: Tensor) -> Tensor:
        """(B, F, d, h, w) -> task-specific prompts (B, T, d, h, w)."""
        prompt = self.universal.to(bottleneck.dtype)
        if prompt.shape[2:] != bottleneck.shape[2:]:
            prompt = F.interpolate(prompt, bottleneck.shape[2:], mode="trilinear", align_corners=False)
        prompt = prompt.expand(bottleneck.shape[0], -1, -1, -1, -1)
        return self.fuse(torch.cat((bottleneck, prompt), dim=1))
