"""From the label values of a user's files to the task's own 1, 2, 3."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapLabelValue, MapTransform

from uniseg_nets.tasks import TaskTable

__all__ = ["OwnLabelValuesd"]


class OwnLabelValuesd(MapTransform):
    """Replaces the values that the task table gives a task's classes by their place, 1, 2, ...

    What MONAI's ``MapLabelValued`` lacks is the choice by each case's ``task``, and a word on other values.

    Args:
        keys: the label's key.
        tasks: the task table.

    Raises:
        ValueError: a value that no class of the task has; the message names the file.
    """

    def __init__(self, keys: KeysCollection, tasks: TaskTable) -> None:
        super().__init__(keys)
        self.tasks = tasks

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        task = self.tasks.one(d["task"])
        known = [0, *task.values]
        for key in self.key_iterator(d):
            wrong = sorted(set(torch.unique(torch.as_tensor(d[key])).tolist()) - set(known))
            if wrong:
                name = getattr(d[key], "meta", {}).get("filename_or_obj", "label map")
                classes = dict(zip(task.values, task.classes))
                raise ValueError(f"{name} holds values {wrong}, task {task.name!r} has {classes}")
            d[key] = MapLabelValue(known, list(range(len(known))), dtype=np.uint8)(d[key])
        return d
