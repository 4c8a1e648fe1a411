"""The light image encoder: MobileSAM's TinyViT, with an optional modality controller per block.

Wu et al., ECCV 2022 (TinyViT); Zhang et al. 2023 (MobileSAM). Tensor names are those of MobileSAM, so that its file
loads strictly. Shapes: B batch, C channels, (H, W) size of the feature map, A heads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from uniseg_nets.nets.esp_medsam.controller import BlockController, MixedPart, ModalityController
from uniseg_nets.nets.esp_medsam.parts import ConvNorm, LayerNorm2d

__all__ = ["TinyViT"]


class TinyViT(nn.Module):
    """(B, 3, S, S) -> embeddings (B, out_channels, S / 16, S / 16).

    Args:
        channels: channels of the four stages.
        depths: blocks per stage; the first stage is convolutional.
        heads: attention heads per stage (the first number is not used).
        windows: side of the attention windows per stage (the first number is not used).
        out_channels: channels of the neck.
    """

    def __init__(
        self,
        channels: Sequence[int],
        depths: Sequence[int],
        heads: Sequence[int],
        windows: Sequence[int],
        out_channels: int,
    ):
        super().__init__()
        self.patch_embed = PatchEmbed(channels[0])
        # The last merge keeps the size, so that the embedding's side is 1/16 of the image's.
        strides = (2, 2, 1)
        stages: list[nn.Module] = []
        for stage, (width, depth) in enumerate(zip(channels, depths)):
            merge = Merge(width, channels[stage + 1], strides[stage]) if stage < 3 else None
            blocks = [MBConv(width) if stage == 0 else Block(width, heads[stage], windows[stage]) for _ in range(depth)]
            stages.append(Stage(blocks, merge))
        self.layers = nn.ModuleList(stages)
        self.neck = nn.Sequential(
            nn.Conv2d(channels[-1], out_channels, 1, bias=False),
            LayerNorm2d(out_channels),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            LayerNorm2d(out_channels),
        )

    @property
    def blocks(self) -> list[tuple[int, int]]:
        """(channels, heads) of the transformer blocks, in the order of a controller's parts."""
        blocks = [block for stage in self.layers for block in cast(Stage, stage).blocks if isinstance(block, Block)]
        return [(block.attn.proj.out_features, block.attn.heads) for block in blocks]

    def forward(self, x: Tensor, controllers: Sequence[ModalityController] = ()) -> Tensor:
        """Embeddings of images; ``controllers`` has none, one for all samples, or one per sample."""
        x = self.patch_embed(x)
        parts = [own[0] if len(own) == 1 else MixedPart(own) for own in zip(*controllers)]
        for stage in self.layers:
            x = stage(x, parts)
            parts = parts[cast(Stage, stage).controlled :]
        embedding: Tensor = self.neck(x)
        return embedding


class PatchEmbed(nn.Module):
    """Two convolutions of stride 2: (B, 3, H, W) -> (B, C, H / 4, W / 4)."""

    def __init__(self, channels: int):
        super().__init__()
        self.seq = nn.Sequential(ConvNorm(3, channels // 2, 3, 2), nn.GELU(), ConvNorm(channels // 2, channels, 3, 2))

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.seq(x)
        return features


class MBConv(nn.Module):
    """An inverted bottleneck of expansion 4."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = ConvNorm(channels, 4 * channels)
        self.conv2 = ConvNorm(4 * channels, 4 * channels, 3, groups=4 * channels)
        self.conv3 = ConvNorm(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(x + self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x))))))


class Merge(nn.Module):
    """The transition between two stages, with a change of channels and a stride."""

    def __init__(self, in_channels: int, channels: int, stride: int):
        super().__init__()
        self.conv1 = ConvNorm(in_channels, channels)
        self.conv2 = ConvNorm(channels, channels, 3, stride, groups=channels)
        self.conv3 = ConvNorm(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        merged: Tensor = self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x)))))
        return merged


class Stage(nn.Module):
    """Blocks, then a merge."""

    def __init__(self, blocks: Sequence[nn.Module], merge: Merge | None):
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = merge
        self.controlled = sum(isinstance(block, Block) for block in blocks)

    def forward(self, x: Tensor, parts: Sequence[BlockController | MixedPart]) -> Tensor:
        """The features of the stage; ``parts`` begins with those of its controlled blocks, or is empty."""
        own = iter(parts)
        for block in self.blocks:
            x = block(x, next(own, None)) if isinstance(block, Block) else block(x)
        return x if self.downsample is None else self.downsample(x)


class Attention(nn.Module):
    """Attention within a window, with a learned bias for each pair of distances: (B, N, C) -> (B, N, C)."""

    def __init__(self, channels: int, heads: int, window: int):
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.attention_biases = nn.Parameter(torch.zeros(heads, window * window))
        place = torch.cartesian_prod(torch.arange(window), torch.arange(window))
        distance = (place[:, None] - place[None]).abs()
        self.register_buffer("offsets", distance[..., 0] * window + distance[..., 1], persistent=False)

    def forward(self, x: Tensor, part: BlockController | MixedPart | None) -> Tensor:
        batch, tokens, channels = x.shape
        # Query, key and value of one head are adjacent.
        qkv = self.qkv(self.norm(x)).view(batch, tokens, self.heads, -1).permute(0, 2, 1, 3)
        query, key, value = qkv.chunk(3, dim=-1)
        bias = self.attention_biases[:, cast(Tensor, self.offsets)]
        if part is not None:
            key, value, bias = part.extend(key, value, bias)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        mixed: Tensor = self.proj(attended.transpose(1, 2).reshape(batch, tokens, channels))
        return mixed


class Mlp(nn.Module):
    """Norm and two layers of expansion 4."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.fc1 = nn.Linear(channels, 4 * channels)
        self.fc2 = nn.Linear(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.fc2(F.gelu(self.fc1(self.norm(x))))
        return mixed


class Block(nn.Module):
    """Window attention, a depthwise convolution and an MLP, optionally with a controller's token and expert."""

    def __init__(self, channels: int, heads: int, window: int):
        super().__init__()
        self.window = window
        self.attn = Attention(channels, heads, window)
        self.mlp = Mlp(channels)
        self.local_conv = ConvNorm(channels, channels, 3, groups=channels)

    def forward(self, x: Tensor, part: BlockController | MixedPart | None = None) -> Tensor:
        x = x + self._attend(x, part)
        x = self.local_conv(x)
        tokens = x.flatten(2).transpose(1, 2)
        mixed = tokens + self.mlp(tokens)
        if part is not None:
            mixed = mixed + part.expert(tokens)
        return mixed.transpose(1, 2).reshape(x.shape)

    def _attend(self, x: Tensor, part: BlockController | MixedPart | None) -> Tensor:
        """Attention in windows. A map whose size is not a multiple of the window is padded with zeros at its end."""
        batch, channels, height, width = x.shape
        side = self.window
        rows, columns = math.ceil(height / side), math.ceil(width / side)
        x = F.pad(x, (0, columns * side - width, 0, rows * side - height))
        x = x.reshape(batch, channels, rows, side, columns, side).permute(0, 2, 4, 3, 5, 1)
        x = self.attn(x.reshape(-1, side * side, channels), part)
        x = x.reshape(batch, rows, columns, side, side, channels).permute(0, 5, 1, 3, 2, 4)
        return x.reshape(batch, channels, rows * side, columns * side)[:, :, :height, :width]
