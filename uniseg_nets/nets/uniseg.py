"""UniSeg: one 3D network for many tasks, told the task before its decoder starts.

Ye, Xie, Zhang, Chen, Xia: "UniSeg: A Prompt-driven Universal Segmentation Model as well as A Strong Representation
Learner", MICCAI 2023. Compatible with the official release tensor by tensor (see ``uniseg_nets.checkpoints``).

Letters: B batch, C channels, T tasks, K output channels, (D, H, W) size of the input in (z, y, x).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from uniseg_nets.nets.prompt import TaskPrompts
from uniseg_nets.nets.unet import Decoder, Encoder, check_size, initialise, stage_features

__all__ = ["UniSeg"]

# How much louder than an image feature the prompt's one channel enters the decoder with ``spread_prompts``.
_PROMPT_GAIN = 10.0


class UniSeg(nn.Module):
    """The universal segmentation network; 32,114,381 parameters with the defaults.

    Args:
        num_tasks: T, how many task-specific prompts there are.
        out_channels: K, channels of the heads that all tasks share; a task uses its first ``classes + 1`` ones.
        in_channels: channel counts that an input may have.
        base_features: features of the first stage, doubled from stage to stage.
        max_features: upper bound of a stage's features.
        patch_size: (z, y, x) of the training patch; sets the stored size of the universal prompt.
        deep_supervision: return the logits of all five levels in training.
        spread_prompts: start with prompts that differ between the tasks and that the decoder hears, for trainings much
            shorter than the paper's; an initialisation only, the network stays the same.

    Raises:
        ValueError: ``patch_size`` is not a multiple of (16, 32, 32).
    """

    def __init__(
        self,
        num_tasks: int = 11,
        out_channels: int = 4,
        in_channels: Sequence[int] = (1, 2, 4),
        base_features: int = 32,
        max_features: int = 320,
        patch_size: Sequence[int] = (64, 192, 192),
        deep_supervision: bool = True,
        spread_prompts: bool = False,
    ):
        super().__init__()
        check_size(patch_size)
        self.num_tasks = num_tasks
        self.out_channels = out_channels
        self.deep_supervision = deep_supervision
        features = stage_features(base_features, max_features)
        self.encoder = Encoder(in_channels, features)
        self.task_prompts = TaskPrompts(features[-1], num_tasks, patch_size)
        self.decoder = Decoder(features, out_channels, extra_channels=1)
        self.apply(initialise)
        if spread_prompts:
            self.task_prompts.spread()
            with torch.no_grad():
                cast(nn.ConvTranspose3d, self.decoder.upsamples[0]).weight[features[-1] :] *= _PROMPT_GAIN

    def forward(self, x: Tensor, task: int | Tensor = 0) -> Tensor | list[Tensor]:
        """(B, C, D, H, W) -> logits (B, K, D, H, W); in training with deep supervision a list of five, finest first.

        Args:
            x: preprocessed image; D, H, W multiples of (16, 32, 32).
            task: one id for the whole batch, or a tensor of B ids.

        Raises:
            ValueError: a channel count, size or task id that the network does not have.
        """
        features = self.encode(x)
        prompt = self.select(self.prompts(features), task)
        bottom = torch.cat((features[-1], prompt), dim=1)  # (B, F + 1, d, h, w)
        all_levels = self.training and self.deep_supervision
        logits = self.decoder(features, bottom, all_levels)
        if all_levels:
            return logits
        return logits[0]

    @torch.jit.export
    def encode(self, x: Tensor) -> list[Tensor]:
        """(B, C, D, H, W) -> features of the six stages, finest first; the last is the bottleneck (B, F, d, h, w)."""
        if not torch.jit.is_scripting():  # scripting knows no global tuple of strides
            check_size(x.shape[2:])
        return self.encoder(x)

    @torch.jit.export
    def prompts(self, features: list[Tensor]) -> Tensor:
        """Features -> the task-specific prompts of all tasks, (B, T, d, h, w)."""
        return self.task_prompts(features[-1])

    @torch.jit.export
    def decode(self, features: list[Tensor], prompt: Tensor) -> Tensor:
        """Features and one task's prompt (B, 1, d, h, w) -> logits (B, K, D, H, W)."""
        return self.decoder(features, torch.cat((features[-1], prompt), dim=1))[0]

    @torch.jit.export
    def select(self, prompts: Tensor, task: int | Tensor) -> Tensor:
        """The prompt of each sample's task: (B, T, d, h, w) -> (B, 1, d, h, w).

        Raises:
            ValueError: an id outside 0..T-1, or not one id a sample.
        """
        batch = prompts.shape[0]
        if isinstance(task, int):
            ids = torch.full((batch,), task, dtype=torch.long, device=prompts.device)
        else:
            ids = task.to(prompts.device).long().flatten()
            if ids.shape[0] == 1:
                ids = ids.expand(batch)
        if ids.shape[0] != batch:
            raise ValueError(f"got {ids.shape[0]} task ids for a batch of {batch}: give one id, or one id a sample")
        lowest, highest = int(ids.min()), int(ids.max())
        if lowest < 0 or highest >= self.num_tasks:
            wrong = lowest if lowest < 0 else highest
            raise ValueError(f"task id {wrong} is outside 0..{self.num_tasks - 1}: `uniseg tasks` lists the ids")
        return prompts[torch.arange(batch, device=prompts.device), ids].unsqueeze(1)
