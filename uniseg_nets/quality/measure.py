"""All measurements of the scores of a case: a fingerprint is fitted to them, and a verdict is based on them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from uniseg_nets.quality.after import label_measures
from uniseg_nets.quality.network import Watch, certainty
from uniseg_nets.tasks import Task
from uniseg_nets.transforms.grid import bounding_box
from uniseg_nets.transforms.resample import argmax_values

__all__ = ["Measures", "label_of", "task_measures"]

# Name -> number: ``agreement``, ``certainty``, and the measurements of the label map.
Measures = dict[str, float]

_AROUND = 2  # voxels of margin around the foreground


def task_measures(watch: Watch, scores: Tensor, task: Task) -> Measures:
    """Measures the scores of one task.

    Args:
        watch: observations of the windows.
        scores: (K, z, y, x), background first.
        task: the task.
    """
    label = argmax_values(scores, range(task.num_outputs))
    box: Any = _box(label)
    measures = {"agreement": watch.agreement(task), "certainty": certainty(scores[(slice(None), *box)], label[box])}
    return measures | label_measures(label.cpu().numpy(), task.spacing, task)


def label_of(scores: Tensor, task: Task) -> NDArray[np.uint8]:
    """The label map (z, y, x), uint8, of scores (K, z, y, x)."""
    label: NDArray[np.uint8] = argmax_values(scores, range(task.num_outputs)).cpu().numpy()
    return label


def _box(label: Tensor) -> tuple[slice, ...]:
    """The box around the foreground with a margin."""
    box = bounding_box(label > 0)
    if box is None:
        return (slice(0, 1),) * 3
    return tuple(slice(max(start - _AROUND, 0), min(stop + _AROUND, n)) for start, stop, n in zip(*box, label.shape))
