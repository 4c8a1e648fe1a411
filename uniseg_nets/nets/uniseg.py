"""UniSeg: one 3D network for many tasks, with the task as a prompt before the decoder.

Ye, Xie, Zhang, Chen, Xia: "UniSeg: A Prompt-driven Universal Segmentation Model as well as A Strong Representation
Learner", MICCAI 2023. Compatible with the official release tensor by tensor (see ``uniseg_nets.weights.official``).

Shapes: B batch, T tasks, K output channels, F bottleneck features, (d, h, w) size of the bottleneck in (z, y, x).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from uniseg_nets.nets.backbone import UniSegBackbone
from uniseg_nets.nets.prompt import TaskPrompts
from uniseg_nets.nets.unet import check_size, initialise, stage_features

__all__ = ["PromptTunedUniSeg", "UniSeg"]

# Factor on the decoder's weights for the prompt channel with ``distinct_prompt_init``.
_PROMPT_GAIN = 10.0


class UniSeg(UniSegBackbone):
    """The universal segmentation network; 32,114,381 parameters with the defaults.

    Args:
        num_tasks: T, number of task-specific prompts.
        out_channels: K, channels of the heads, which all tasks share. A task uses the first ``classes + 1`` of them.
        in_channels: channel counts that an input may have.
        base_features: features of the first stage; each further stage has twice as many.
        max_features: maximum features of a stage.
        patch_size: (z, y, x) of the training patch. It sets the stored size of the universal prompt.
        deep_supervision: return the logits of all five levels in training.
        distinct_prompt_init: initialise the prompts so that they differ between the tasks and have an effect on the
            decoder from the first step, for trainings much shorter than the paper's. The architecture stays the same.

    Raises:
        ValueError: if ``patch_size`` is not a multiple of (16, 32, 32).
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
        distinct_prompt_init: bool = False,
    ):
        check_size(patch_size)
        super().__init__(in_channels, out_channels, base_features, max_features, deep_supervision, prompt_channels=1)
        self.num_tasks = num_tasks
        bottleneck = stage_features(base_features, max_features)[-1]
        self.task_prompts = TaskPrompts(bottleneck, num_tasks, patch_size)
        self.task_prompts.apply(initialise)
        if distinct_prompt_init:
            self.task_prompts.make_distinct()
            with torch.no_grad():
                cast(nn.ConvTranspose3d, self.decoder.upsamples[0]).weight[bottleneck:] *= _PROMPT_GAIN

    @torch.jit.export
    def prompts(self, features: list[Tensor]) -> Tensor:
        """Features -> the task-specific prompts of all tasks, (B, T, d, h, w)."""
        return self.task_prompts(features[-1])

    @torch.jit.export
    def select(self, prompts: Tensor, task: int | Tensor) -> Tensor:
        """The prompt of each sample's task: (B, T, d, h, w) -> (B, 1, d, h, w).

        Raises:
            ValueError: if an id is outside 0 to T - 1, or the number of ids is not that of the samples.
        """
        batch = prompts.shape[0]
        if isinstance(task, int):
            self._check(task, task)
            return prompts[:, task : task + 1]
        ids = task.to(prompts.device).long().flatten()
        if ids.shape[0] == 1:
            ids = ids.expand(batch)
        if ids.shape[0] != batch:
            raise ValueError(f"got {ids.shape[0]} task ids for a batch of {batch}: give one id, or one id per sample")
        self._check(int(ids.min()), int(ids.max()))
        return prompts[torch.arange(batch, device=prompts.device), ids].unsqueeze(1)

    def _check(self, lowest: int, highest: int) -> None:
        if lowest < 0 or highest >= self.num_tasks:
            wrong = lowest if lowest < 0 else highest
            raise ValueError(f"task id {wrong} is outside 0..{self.num_tasks - 1}: `uniseg tasks` lists the ids")


class PromptTunedUniSeg(UniSeg):
    """A UniSeg for one new task, which uses the prompt of a known task.

    Its features are exactly those of the pretrained network for the task of the slot. If only the prompt (and FUSE, or
    the heads) is trained, the shared network stays unchanged for all other tasks.

    Args:
        slot: id of the known task whose prompt the new task starts from. The most similar modality and organ are best.
        sizes: as for :class:`UniSeg`, those of the pretrained weights.

    Raises:
        ValueError: if there is no such slot.
    """

    def __init__(self, slot: int = 0, **sizes: Any):
        super().__init__(**sizes)
        if not 0 <= slot < self.num_tasks:
            raise ValueError(f"slot is {slot}, the pretrained network has tasks 0..{self.num_tasks - 1}")
        self.slot = slot

    @torch.jit.export
    def select(self, prompts: Tensor, task: int | Tensor) -> Tensor:
        """The prompt of the slot, for every task: (B, T, d, h, w) -> (B, 1, d, h, w)."""
        return prompts[:, self.slot : self.slot + 1]
