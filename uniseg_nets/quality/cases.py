"""A scan, and if there is one its reference, measured by a network: one row of what a fingerprint is fitted on."""

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
        properties: of the scan.
        measures: of the network and the label map.
        dice: mean over the classes that the reference holds, on the network's grid; ``None`` without a reference.
        seconds: of preprocessing and inference, with what is measured.
    """

    properties: ScanProperties
    measures: Measures
    dice: float | None
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """What :meth:`from_json` reads; no voxel and no name of a patient."""
        return {
            "dice": self.dice,
            "seconds": round(self.seconds, 3),
            **self.properties.as_json(),
            "numbers": self.measures,
        }

    @staticmethod
    def from_json(row: Mapping[str, Any]) -> Measured:
        """The case that :meth:`as_json` wrote."""
        properties = ScanProperties.from_json(row)
        return Measured(properties, dict(row["numbers"]), row["dice"], row["seconds"])


class CaseMeasurer:
    """Runs a network over loaded scans and measures them.

    Args:
        network: a network of this family, or a runtime of one.
        tasks: its task table.
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
        """For a UniSeg checkpoint; its sizes follow from the file."""
        sizes = read_weights(weights).sizes
        network = with_runtime(load_network(UniSeg(**sizes), weights, device), runtime)
        return cls(network, tasks, sizes["patch_size"], check_flips)

    def __call__(self, loaded: Mapping[str, MetaTensor], task: str | int) -> Measured:
        """Measures a case: its loaded ``image`` (C, x, y, z) and, where there is one, ``label`` (1, x, y, z).

        Raises:
            ValueError: the scan is none of the task's.
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
    """The mean Dice over the classes that the reference holds; 0 where it holds none and something was found."""
    rates = []
    for value in range(1, task.num_outputs):
        mask, own = reference == value, prediction == value
        if mask.any():
            rates.append(2 * float((mask & own).sum()) / float(mask.sum() + own.sum()))
    return float(np.mean(rates)) if rates else float(not (prediction > 0).any())
