"""Random mirroring along the axes that the task allows."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform, Randomizable

from uniseg_nets.tasks import TaskTable

__all__ = ["RandMirrord"]


class RandMirrord(Randomizable, MapTransform):
    """Randomly flips (C, z, y, x) along each of the task's mirror axes.

    Not MONAI's ``RandFlipd``, whose axes are the same for every case: some tasks have left and right classes.

    Args:
        keys: image and label.
        tasks: the task table; each case has a ``task``.
        prob: probability per axis.
    """

    def __init__(self, keys: KeysCollection, tasks: TaskTable, prob: float = 0.5) -> None:
        super().__init__(keys)
        self.tasks = tasks
        self.prob = prob
        self.axes: tuple[int, ...] = ()

    def randomize(self, data: Mapping[Hashable, Any]) -> None:
        allowed = self.tasks.one(data["task"]).mirror_axes
        self.axes = tuple(axis + 1 for axis in allowed if self.R.random() < self.prob)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        self.randomize(d)
        for key in self.key_iterator(d):
            d[key] = d[key].flip(self.axes) if self.axes else d[key]
        return d
