"""What UniSeg is compared with: the same U-Net, told its task in other ways.

Each has UniSeg's four steps (encode, prompts, select, decode), so that training and inference are one code for all.

Letters: B batch, F bottleneck features, T tasks, (d, h, w) bottleneck size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from uniseg_nets import UniSeg
from uniseg_nets.nets.unet import Decoder, Encoder, initialise, stage_features

__all__ = ["VARIANTS", "LateConditioned", "OneHotUniSeg", "Unprompted"]


class OneHotUniSeg(UniSeg):
    """UniSeg whose FUSE sees a one-hot map of the task in place of the universal prompt."""

    def __init__(self, num_tasks: int, **sizes: Any):
        super().__init__(num_tasks, **sizes)
        del self.task_prompts.universal
        self.task_prompts.register_buffer("codes", torch.eye(num_tasks))

    def prompts(self, features: list[Tensor]) -> Tensor:
        """Features -> (B, T, d, h, w), each task's from its own code."""
        bottleneck = features[-1]
        batch, _, *size = bottleneck.shape
        found = []
        for task, code in enumerate(self.task_prompts.codes):
            maps = code.reshape(1, -1, 1, 1, 1).expand(batch, -1, *size)
            found.append(self.task_prompts.fuse(torch.cat((bottleneck, maps), dim=1))[:, task : task + 1])
        return torch.cat(found, dim=1)


class Unprompted(nn.Module):
    """The U-Net alone, for one task."""

    def __init__(
        self,
        num_tasks: int,
        out_channels: int,
        in_channels: Sequence[int],
        base_features: int,
        max_features: int,
        patch_size: Sequence[int],
        deep_supervision: bool = True,
        extra_channels: int = 0,
        **unused: Any,
    ):
        super().__init__()
        self.num_tasks, self.out_channels, self.deep_supervision = num_tasks, out_channels, deep_supervision
        features = stage_features(base_features, max_features)
        self.encoder = Encoder(in_channels, features)
        self.decoder = Decoder(features, out_channels, extra_channels)
        self.apply(initialise)

    def forward(self, x: Tensor, task: int | Tensor = 0) -> Tensor | list[Tensor]:
        features = self.encode(x)
        logits = self._levels(features, self.select(self.prompts(features), task), self.training)
        return logits if self.training and self.deep_supervision else logits[0]

    def encode(self, x: Tensor) -> list[Tensor]:
        return self.encoder(x)

    def prompts(self, features: list[Tensor]) -> Tensor:
        """Nothing: (B, 0)."""
        return features[-1].new_zeros(len(features[-1]), 0)

    def select(self, prompts: Tensor, task: int | Tensor) -> Tensor:
        return prompts

    def decode(self, features: list[Tensor], prompt: Tensor) -> Tensor:
        return self._levels(features, prompt, all_levels=False)[0]

    def _levels(self, features: list[Tensor], prompt: Tensor, all_levels: bool) -> list[Tensor]:
        return self.decoder(features, features[-1], all_levels)


class LateConditioned(Unprompted):
    """A dynamic head, after DoDNet (Zhang et al., CVPR 2021).

    A controller turns the pooled bottleneck and a one-hot task code into the weights of three 1x1x1 convolutions, the
    only place that knows the task. Every level of the decoder goes through them.
    """

    _WIDTH = 8

    def __init__(self, num_tasks: int, out_channels: int, base_features: int, max_features: int, **sizes: Any):
        super().__init__(num_tasks, self._WIDTH, base_features=base_features, max_features=max_features, **sizes)
        self.classes = out_channels
        width = self._WIDTH
        self.shapes = [(width, width), (width, width), (out_channels, width)]
        count = sum(rows * columns + rows for rows, columns in self.shapes)
        pooled = stage_features(base_features, max_features)[-1]
        self.controller = nn.Linear(pooled + num_tasks, count)

    def prompts(self, features: list[Tensor]) -> Tensor:
        """The pooled bottleneck, (B, F)."""
        return features[-1].mean(dim=(2, 3, 4))

    def select(self, prompts: Tensor, task: int | Tensor) -> Tensor:
        """The head's weights, (B, count)."""
        ids = torch.as_tensor(task, device=prompts.device).long().flatten().expand(len(prompts))
        return self.controller(torch.cat((prompts, F.one_hot(ids, self.num_tasks).to(prompts.dtype)), dim=1))

    def _levels(self, features: list[Tensor], prompt: Tensor, all_levels: bool) -> list[Tensor]:
        return [self._head(level, prompt) for level in super()._levels(features, prompt, all_levels)]

    def _head(self, x: Tensor, weights: Tensor) -> Tensor:
        """(B, 8, ...) -> logits (B, K, ...), each sample by its own weights."""
        batch, channels, *size = x.shape
        x = x.reshape(1, batch * channels, *size)
        start = 0
        for layer, (rows, columns) in enumerate(self.shapes):
            weight = weights[:, start : start + rows * columns].reshape(batch * rows, columns, 1, 1, 1)
            bias = weights[:, start + rows * columns : start + rows * columns + rows].reshape(-1)
            x = F.conv3d(x, weight, bias, groups=batch)
            if layer < len(self.shapes) - 1:
                x = F.leaky_relu(x, 0.01)
            start += rows * columns + rows
        return x.reshape(batch, self.classes, *size)


VARIANTS = {
    "uniseg": UniSeg,
    "uniseg_spread": UniSeg,
    "onehot": OneHotUniSeg,
    "late": LateConditioned,
    "single": Unprompted,
}
