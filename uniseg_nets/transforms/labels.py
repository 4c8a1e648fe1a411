"""Reads label maps without loss, and maps their values to the task's own 1, 2, 3."""

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

_ROUNDING = 1e-3  # tolerance for values stored with a slope


def load_label_map(file: str | PathLike[str]) -> MetaTensor:
    """Reads the file of a label map -> uint8 (1, x, y, z), as stored, with its affine.

    Raises:
        FileNotFoundError, ValueError: as for :class:`~uniseg_nets.transforms.LoadCase` and :func:`as_label_map`; the
            message names the file.
    """
    loaded = LoadCase()(file)
    try:
        return MetaTensor(as_label_map(loaded.as_tensor()), meta=loaded.meta)
    except ValueError as error:
        raise ValueError(f"label map {file} {error}") from error


def as_label_map(label: Tensor) -> Tensor:
    """Converts a label map (1, x, y, z) of any type to uint8, without loss.

    Raises:
        ValueError: if there are several channels, or values that are not whole numbers from 0 to 255.
    """
    if label.shape[0] != 1:
        raise ValueError(f"has {label.shape[0]} channels, expected one that holds the value of each voxel's class")
    if label.dtype == torch.uint8:
        return label
    if not label.is_floating_point():
        label = label.float()  # PyTorch cannot round every integer type
    rounded = label.round()
    fine = ((label - rounded).abs() <= _ROUNDING) & (rounded >= 0) & (rounded <= 255)
    if not fine.all():
        raise ValueError(f"holds {label[~fine].unique().tolist()[:5]}: labels are whole numbers from 0 to 255")
    return rounded.to(torch.uint8)


class OwnLabelValuesd(MapTransform):
    """Checks the values of a label map and maps them to the task's own 1, 2, ...

    Not MONAI's ``MapLabelValued``, which neither depends on the case's ``task`` nor reports unknown values.

    Args:
        keys: key of the label map.
        tasks: the task table.
        values: values in the files: ``global`` for those of the task table, ``task`` for the task's own.

    Raises:
        ValueError: if a value belongs to no class of the task; the message names the file.
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
