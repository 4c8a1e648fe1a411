"""Measures a scan with a network, and compares the label map with the reference if there is one.

A fingerprint is fitted to such measurements.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from numpy.typing import NDArray
from torch import nn

from uniseg_nets.inferers.sliding_window import UniSegInferer
from uniseg_nets.nets import UniSeg
from uniseg_nets.quality.before import ScanProperties, scan_properties
from uniseg_nets.quality.inferer import MeasuredInferer
from uniseg_nets.quality.measure import Measures, label_of
from uniseg_nets.runtimes import with_runtime
from uniseg_nets.tasks import Task, TaskTable
from uniseg_nets.transforms.preprocess import PreprocessCased
from uniseg_nets.weights.checkpoints import load_network, read_weights

__all__ = ["CaseMeasurer", "Measured", "foreground_dice"]


@dataclass(frozen=True, eq=False)
class Measured:
    """A measured case.

    Attributes:
        properties: measurements of the scan.
        measures: measurements of the network and the label map.
        dice: mean Dice over the classes in the reference, on the network's grid; ``None`` without a reference.
        seconds: time of preprocessing, inference and measurement.
    """

    properties: ScanProperties
    measures: Measures
    dice: float | None
    seconds: float


class CaseMeasurer:
    """Runs a network over loaded scans and measures them.

    Args:
        network: a UniSeg network, or a runtime of one.
        tasks: the network's task table.
        patch_size: window (z, y, x).
        check_flips: see :class:`~uniseg_nets.quality.inferer.MeasuredInferer`.
    """

    def __init__(
        self, network: nn.Module, tasks: TaskTable, patch_size: Sequence[int], check_flips: bool = False
    ) -> None:
        self.tasks, self.network, self.patch_size = tasks, network, tuple(patch_size)
        self.device = next(network.parameters()).device
        sliding = UniSegInferer(tasks, roi_size=patch_size)
        self.inferer = MeasuredInferer(sliding, tasks, check_flips=check_flips)

    @classmethod
    def of_weights(
        cls,
        weights: str | PathLike[str],
        tasks: TaskTable,
        runtime: str = "auto",
        device: str | torch.device = "cpu",
        check_flips: bool = False,
    ) -> CaseMeasurer:
        """The measurer for a UniSeg checkpoint, which also gives the network's sizes.

        Args:
            weights: the checkpoint.
            tasks, check_flips: as for the class.
            runtime: see :func:`~uniseg_nets.runtimes.with_runtime`.
            device: device of the network.

        Raises:
            FileNotFoundError: the checkpoint does not exist.
            ValueError: the checkpoint cannot be read, or is for another number of tasks.
        """
        sizes = read_weights(weights).sizes
        if sizes["num_tasks"] != len(tasks):
            raise ValueError(
                f"{weights} was trained on {sizes['num_tasks']} tasks, the task table has {len(tasks)}: name the table "
                "of that training (tasks_file)"
            )
        network = with_runtime(load_network(UniSeg(**sizes), weights, device), runtime)
        return cls(network, tasks, sizes["patch_size"], check_flips)

    def __call__(self, loaded: Mapping[str, MetaTensor], task: str | int) -> Measured:
        """Measures a loaded case.

        Args:
            loaded: ``image`` (C, x, y, z) and, if there is a reference, ``label`` (1, x, y, z).
            task: a task's name or id.

        Raises:
            ValueError: the scan does not have the channels of the task.
        """
        one, begun = self.tasks.one(task), time.perf_counter()
        properties = scan_properties(loaded["image"], one)
        keys = [key for key in ("image", "label") if key in loaded]
        given: Mapping[Any, Any] = loaded
        case = PreprocessCased(keys, self.tasks, one.name)(given)
        scores = self.inferer(case["image"].as_tensor()[None].to(self.device), self.network, one.name)
        seconds = time.perf_counter() - begun
        dice = None
        if "label" in case:
            dice = foreground_dice(label_of(scores[0], one), case["label"].as_tensor()[0].numpy(), one)
        return Measured(properties, self.inferer.measures[one.name], dice, seconds)


def foreground_dice(prediction: NDArray[Any], reference: NDArray[Any], task: Task) -> float:
    """The mean Dice over the classes in the reference. If it has none: 1 for an empty prediction, else 0.

    Args:
        prediction, reference: (z, y, x), the task's own values 1, 2, ...
        task: gives the number of classes.
    """
    rates = []
    for value in range(1, task.num_outputs):
        mask, own = reference == value, prediction == value
        if mask.any():
            rates.append(2 * float((mask & own).sum()) / float(mask.sum() + own.sum()))
    return float(np.mean(rates)) if rates else float(not (prediction > 0).any())
