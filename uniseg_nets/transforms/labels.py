"""Label maps from files: read without loss, and their values as the task's own 1, 2, 3."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from os import PathLike
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapLabelValue, MapTransform
from torch import Tensor

from uniseg_nets.tasks import TaskTable
from uniseg_nets.transforms.load import LoadCase

__all__ = ["OwnLabelValuesd", "as_label_map", "load_label_map"]

_ROUNDING = 1e-3  # of values that are stored with a slope


def load_label_map(file: str | PathLike[str]) -> MetaTensor:
    """A label map's file -> uint8 (1, x, y, z), as stored, with its affine.

    Raises:
        FileNotFoundError, ValueError: as of :class:`~uniseg_nets.transforms.LoadCase` and :func:`as_label_map`; the
            message names the file.
    """
    loaded = LoadCase()(file)
    try:
        return MetaTensor(as_label_map(loaded.as_tensor()), meta=loaded.meta)
    except ValueError as error:
        raise ValueError(f"label map {file} {error}") from error


def as_label_map(label: Tensor) -> Tensor:
    """A label map (1, x, y, z) of any type as uint8, without loss.

    Raises:
        ValueError: several channels, or values that are no whole numbers from 0 to 255.
    """
    if label.shape[0] != 1:
        raise ValueError(f"has {label.shape[0]} channels, expected one that holds the value of each voxel's class")
    if label.dtype == torch.uint8:
        return label
    if not label.is_floating_point():
        label = label.float()  # which PyTorch rounds and compares for every type
    whole = label.round()
    fine = ((label - whole).abs() <= _ROUNDING) & (whole >= 0) & (whole <= 255)
    if not fine.all():
        raise ValueError(f"holds {label[~fine].unique().tolist()[:5]}: labels are whole numbers from 0 to 255")
    return whole.to(torch.uint8)


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
