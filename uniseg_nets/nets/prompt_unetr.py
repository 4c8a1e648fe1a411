"""A frozen UNETR that a centre adapts with a few prompt tokens.

Saeed et al.: "Prompt-Based Tuning of Transformer Models for Multi-Center Medical Image Segmentation of Head and Neck
Cancer", Bioengineering 2023; prompts as in Visual Prompt Tuning (Jia et al., ECCV 2022).

Shapes: B batch, C channels, K output channels, N image tokens, P prompts, L prompted blocks, H hidden size,
(D, H, W) size of the input in (z, y, x).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from monai.networks.nets import UNETR, ViT
from torch import Tensor, nn

__all__ = ["PROMPTS", "PromptUNETR", "PromptedViT"]

PROMPTS = "vit.prompts"


class PromptedViT(ViT):
    """MONAI's vision transformer with prompt tokens.

    ``prompts`` has shape (L, P, H). The first set is concatenated to the image tokens before the first block; each
    further set replaces the previous one at the next block. L = 1 are shallow prompts, which pass through all blocks;
    L = number of blocks are deep prompts. The output has image tokens alone. With P = 0 it is exactly MONAI's ViT.
    """

    def __init__(self, *args: Any, num_prompts: int = 0, deep: bool = True, **kwargs: Any):
        super().__init__(*args, **kwargs)
        hidden = self.norm.normalized_shape[0]
        self.prompts = nn.Parameter(torch.zeros(len(self.blocks) if deep else 1, num_prompts, hidden))

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(B, C, D, H, W) -> normalised image tokens (B, N, H), and the list of image tokens after every block."""
        tokens = self.patch_embedding(x)
        count = self.prompts.shape[1]
        hidden = []
        for index, block in enumerate(self.blocks):
            if index < self.prompts.shape[0]:
                image_tokens = tokens if index == 0 else tokens[:, count:]
                tokens = torch.cat((self.prompts[index].expand(x.shape[0], -1, -1), image_tokens), dim=1)
            tokens = block(tokens)
            hidden.append(tokens[:, count:])
        return self.norm(tokens)[:, count:], hidden


class PromptUNETR(UNETR):
    """UNETR with prompts. Without them (``num_prompts=0``) it is exactly MONAI's UNETR and loads its weights.

    Args:
        in_channels: C.
        out_channels: K.
        img_size: (z, y, x) of the patch, the only size that the transformer takes.
        num_prompts: P, tokens per prompted block.
        mode: ``deep`` for separate prompts at each of the 12 blocks, ``shallow`` for prompts at the first block.
        feature_size, hidden_size, mlp_dim, num_heads, norm_name, spatial_dims: as for MONAI's ``UNETR``.

    Raises:
        ValueError: if there is no such mode, or the number of prompts is negative.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        img_size: Sequence[int] | int,
        num_prompts: int = 0,
        mode: str = "deep",
        feature_size: int = 16,
        hidden_size: int = 768,
        mlp_dim: int = 3072,
        num_heads: int = 12,
        norm_name: str = "instance",
        spatial_dims: int = 3,
    ):
        if mode not in ("deep", "shallow") or num_prompts < 0:
            raise ValueError(f"got {num_prompts} {mode!r} prompts: expected mode 'deep' or 'shallow', and none or more")
        sizes: dict[str, Any] = {"hidden_size": hidden_size, "mlp_dim": mlp_dim, "num_heads": num_heads}
        super().__init__(
            in_channels,
            out_channels,
            img_size,
            feature_size=feature_size,
            norm_name=norm_name,
            spatial_dims=spatial_dims,
            **sizes,
        )
        self.vit = PromptedViT(
            in_channels,
            img_size,
            self.patch_size,
            num_layers=self.num_layers,
            spatial_dims=spatial_dims,
            num_prompts=num_prompts,
            deep=mode == "deep",
            **sizes,
        )
        # The bounds of Visual Prompt Tuning: Xavier initialisation for the size of the patch embedding.
        bound = math.sqrt(6 / (in_channels * math.prod(self.patch_size) + hidden_size))
        nn.init.uniform_(self.vit.prompts, -bound, bound)
