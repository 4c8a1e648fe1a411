"""Measures the network while it predicts: agreement of its coarse and fine heads, certainty of its scores.

Shapes: B batch, K output channels, (D, H, W) size of a window in (z, y, x).
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from uniseg_nets.nets.unet import STRIDES
from uniseg_nets.tasks import Task

__all__ = ["Watch", "WatchedNetwork", "certainty", "members_of", "pairwise_dice"]

# Voxels (z, y, x) per voxel of the coarse head.
_STRIDE = tuple(int(step) for step in np.prod(STRIDES[:3], axis=0))


class Watch:
    """Counts over the windows of a case, per task, for the Dice between the coarse and the fine head.

    Attributes:
        shared: task id -> twice the number of voxels of the coarse grid to which both heads give the same class.
        given: task id -> voxels with a class from the coarse head plus voxels with a class from the fine head.
    """

    def __init__(self) -> None:
        self.shared: dict[int, float] = defaultdict(float)
        self.given: dict[int, float] = defaultdict(float)

    def see(self, task: Task, coarse: Tensor, fine: Tensor) -> None:
        """Counts a decoded window.

        Args:
            task: the decoded task.
            coarse: logits (B, K, D/2, H/4, W/4).
            fine: logits (B, K, D, H, W).
        """
        z, y, x = _STRIDE
        few = fine[..., z // 2 :: z, y // 2 :: y, x // 2 :: x]
        one, other = (logits[:, : task.num_outputs].argmax(1) for logits in (coarse, few))
        both = torch.stack(((one == other) & (one > 0), one > 0, other > 0)).flatten(1).sum(1).tolist()
        self.shared[task.id] += 2 * both[0]
        self.given[task.id] += both[1] + both[2]

    def agreement(self, task: Task) -> float:
        """Dice between the coarse and the fine head, 0..1; NaN if both found nothing."""
        return self.shared[task.id] / self.given[task.id] if self.given[task.id] else float("nan")


class WatchedNetwork:
    """Runs a network's inference steps and counts each window.

    Args:
        network: a :class:`~uniseg_nets.UniSegBackbone` or a runtime of one.
        watch: gets the counts.
        tasks: the tasks that are decoded.
    """

    def __init__(self, network: Any, watch: Watch, tasks: tuple[Task, ...]) -> None:
        self._network = network
        self._watch = watch
        self._tasks = {task.id: task for task in tasks}
        self._task = tasks[0]
        self._coarse: Tensor | None = None

    def encode(self, x: Tensor) -> list[Any]:
        features: list[Any] = self._network.encode(x)
        return features

    def shared(self, features: list[Any]) -> list[Any]:
        shared: list[Any] = self._network.shared(features)
        return shared

    def prompts(self, features: list[Any]) -> Tensor:
        prompts: Tensor = self._network.prompts(features)
        return prompts

    def select(self, prompts: Tensor, task: int) -> Tensor:
        self._task = self._tasks[task]
        prompt: Tensor = self._network.select(prompts, task)
        return prompt

    def decode(self, features: list[Any], prompt: Tensor) -> Tensor:
        return self.decode_fine(features, self.decode_coarse(features, prompt)[0])

    def decode_coarse(self, features: list[Any], prompt: Tensor) -> tuple[Any, Tensor]:
        state, self._coarse = self._network.decode_coarse(features, prompt)
        return state, self._coarse

    def decode_fine(self, features: list[Any], x: Any) -> Tensor:
        fine: Tensor = self._network.decode_fine(features, x)
        assert self._coarse is not None
        self._watch.see(self._task, self._coarse, fine)
        return fine


def certainty(scores: Tensor, label: Tensor) -> float:
    """The certainty of the network: the soft Dice between its scores and its own label map, 0..1.

    Args:
        scores: (K, z, y, x), background first, in the box around the foreground.
        label: (z, y, x), the class of each voxel.

    Returns:
        The mean over the classes in the label map; NaN if there are none.
    """
    rates = []
    for index, score in enumerate(scores[1:], start=1):
        mask = label == index
        count = float(mask.sum())
        if count:
            rates.append(2 * float(score[mask].sum()) / (float(score.sum()) + count))
    return float(np.mean(rates)) if rates else float("nan")


def pairwise_dice(labels: list[NDArray[Any]]) -> float:
    """The mean Dice over all pairs of label maps (z, y, x) and the classes that either has; NaN if there are none."""
    rates = []
    for index, one in enumerate(labels):
        for other in labels[index + 1 :]:
            present = sorted((set(np.unique(one).tolist()) | set(np.unique(other).tolist())) - {0})
            for value in present:
                first, second = one == value, other == value
                rates.append(2 * float((first & second).sum()) / float(first.sum() + second.sum()))
    return float(np.mean(rates)) if rates else float("nan")


def members_of(network: nn.Module) -> list[Any]:
    """The networks of an ensemble; a list with the network itself if it is no ensemble."""
    return list(network) if isinstance(network, nn.ModuleList) else [network]
