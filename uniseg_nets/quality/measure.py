"""Everything that is measured of a case, in one place: what a fingerprint is fitted on and a verdict rests on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from uniseg_nets.quality.after import label_measures
from uniseg_nets.quality.network import Watch, certainty
from uniseg_nets.tasks import Task
from uniseg_nets.transforms.grid import bounding_box
from uniseg_nets.transforms.resample import argmax_values

__all__ = ["TaskMeasures", "task_measures"]

_AROUND = 2  # voxels around what was found


@dataclass(frozen=True, eq=False)
class TaskMeasures:
    """What is measured while and after a task's scores are computed.

    Attributes:
        numbers: name -> number: ``agreement``, ``certainty`` and those of the label map.
        features: (2 F,), pooled over the windows, see :meth:`~uniseg_nets.quality.network.Watch.pooled`.
    """

    numbers: dict[str, float]
    features: NDArray[np.float64] = field(repr=False)


def task_measures(watch: Watch, scores: Tensor, task: Task) -> TaskMeasures:
    """Measures a task's part of a case.

    Args:
        watch: what was seen of its windows.
        scores: (K, z, y, x).
        task: the task.
    """
    label = argmax_values(scores, range(task.num_outputs))
    box: Any = _box(label)
    numbers = {"agreement": watch.agreement(task), "certainty": certainty(scores[(slice(None), *box)], label[box])}
    numbers |= label_measures(label.cpu().numpy(), task.spacing, task)
    return TaskMeasures(numbers, watch.pooled(task))


def _box(label: Tensor) -> tuple[slice, ...]:
    """The box around what was found, a little larger."""
    found = bounding_box(label > 0)
    if found is None:
        return (slice(0, 1),) * 3
    return tuple(slice(max(start - _AROUND, 0), min(stop + _AROUND, n)) for start, stop, n in zip(*found, label.shape))


def label_of(scores: Tensor, task: Task) -> NDArray[np.uint8]:
    """(K, z, y, x) -> uint8 (z, y, x)."""
    with torch.no_grad():
        return argmax_values(scores, range(task.num_outputs)).cpu().numpy()
