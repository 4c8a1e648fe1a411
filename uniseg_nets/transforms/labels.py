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
    """Checks a label map's values and makes them the task's own 1, 2, ...

    What MONAI's ``MapLabelValued`` lacks is the choice by each case's ``task``, and a word on other values.

    Args:
        keys: the label's key.
        tasks: the task table.
        values: of the files: ``global`` for those that the table gives the classes, ``task`` for the task's own.

    Raises:
        ValueError: a value that no class of the task has; the message names the file.
    """

    def __init__(self, keys: KeysCollection, tasks: TaskTable, values: str = "global") -> None:
        super().__init__(keys)
        if values not in ("global", "task"):
            raise ValueError(f"values is {values!r}, expected 'global' or 'task'")
        self.tasks = tasks
        self.values = values

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        task = self.tasks.one(d["task"])
        known = [0, *task.values] if self.values == "global" else list(range(task.num_outputs))
        for key in self.key_iterator(d):
            wrong = sorted(set(torch.unique(torch.as_tensor(d[key])).tolist()) - set(known))
            if wrong:
                name = getattr(d[key], "meta", {}).get("filename_or_obj", "label map")
                classes = dict(zip(known[1:], task.classes))
                raise ValueError(f"{name} holds values {wrong}, task {task.name!r} has {classes}")
            d[key] = MapLabelValue(known, list(range(len(known))), dtype=np.uint8)(d[key])
        return d
