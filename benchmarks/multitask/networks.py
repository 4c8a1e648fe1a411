"""What UniSeg is compared with: the same U-Net, told its task in other ways.

Each has UniSeg's four steps (encode, prompts, select, decode), so that training and inference are one code for all.

Shapes: B batch, F bottleneck features, T tasks, (d, h, w) bottleneck size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from uniseg_nets import UniSeg, UniSegBackbone
from uniseg_nets.nets.unet import stage_features

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
        outputs = []
        for task, code in enumerate(cast(Tensor, self.task_prompts.codes)):
            maps = code.reshape(1, -1, 1, 1, 1).expand(batch, -1, *size)
            outputs.append(self.task_prompts.fuse(torch.cat((bottleneck, maps), dim=1))[:, task : task + 1])
        return torch.cat(outputs, dim=1)


class Unprompted(UniSegBackbone):
    """The U-Net alone, for one task."""

    def __init__(self, num_tasks: int, patch_size: Sequence[int], distinct_prompt_init: bool, **sizes: Any):
        super().__init__(**sizes)
        self.num_tasks = num_tasks


class LateConditioned(Unprompted):
    """A dynamic head, after DoDNet (Zhang et al., CVPR 2021).

    A controller turns the pooled bottleneck and a one-hot task code into the weights of three 1x1x1 convolutions, the
    only place that knows the task. Every level of the decoder goes through them.
    """

    _WIDTH = 8

    def __init__(self, out_channels: int, **sizes: Any):
        super().__init__(out_channels=self._WIDTH, **sizes)
        self.classes = out_channels
        width = self._WIDTH
        self.shapes = [(width, width), (width, width), (out_channels, width)]
        count = sum(rows * columns + rows for rows, columns in self.shapes)
        pooled = stage_features(sizes["base_features"], sizes["max_features"])[-1]
        self.controller = nn.Linear(pooled + self.num_tasks, count)

    def forward(self, x: Tensor, task: int | Tensor = 0) -> Tensor | list[Tensor]:
        features = self.encode(x)
        head = self.select(self.prompts(features), task)
        all_levels = self.training and self.deep_supervision
        logits = [self._head(level, head) for level in self.decoder(features, features[-1], all_levels)]
        return logits if all_levels else logits[0]

    def prompts(self, features: list[Tensor]) -> Tensor:
        """The pooled bottleneck, (B, F)."""
        return features[-1].mean(dim=(2, 3, 4))

    def select(self, prompts: Tensor, task: int | Tensor) -> Tensor:
        """The head's weights, (B, count)."""
        ids = torch.as_tensor(task, device=prompts.device).long().flatten().expand(len(prompts))
        return self.controller(torch.cat((prompts, F.one_hot(ids, self.num_tasks).to(prompts.dtype)), dim=1))

    def decode(self, features: list[Tensor], prompt: Tensor) -> Tensor:
        return self._head(self.decoder(features, features[-1])[0], prompt)

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
