"""How the task travels through MONAI's engines, and an evaluator that outlives bad cases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from monai.engines import PrepareBatch
from torch import Tensor

from uniseg_nets.tasks import TaskTable

__all__ = ["PrepareTaskBatch"]


class PrepareTaskBatch(PrepareBatch):
    """Hands each sample's task to the network and to the loss.

    A batch with ``image``, ``label`` and ``task`` (names or ids) becomes the network's input with the ids as its second
    argument, and the target ``{"label", "task"}`` that :class:`~uniseg_nets.losses.TaskDiceCELoss` takes.
    """

    def __init__(self, tasks: TaskTable) -> None:
        self.tasks = tasks

    def __call__(
        self, batchdata: Mapping[str, Any], device: Any = None, non_blocking: bool = False, **kwargs: Any
    ) -> tuple[Tensor, dict[str, Tensor], tuple[Tensor], dict[str, Any]]:
        ids = torch.tensor([self.tasks.one(task).id for task in batchdata["task"]])
        image = batchdata["image"].to(device=device, non_blocking=non_blocking, **kwargs)
        label = batchdata["label"].to(device=device, non_blocking=non_blocking, **kwargs)
        return image, {"label": label, "task": ids.to(label.device)}, (ids.to(image.device),), {}
