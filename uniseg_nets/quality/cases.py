"""A scan, and if there is one its reference, measured by a network: one row of what a fingerprint is fitted on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
from monai.data import MetaTensor
from numpy.typing import NDArray

from uniseg_nets import UniSeg
from uniseg_nets.inferers.sliding_window import UniSegInferer
from uniseg_nets.quality.before import ScanFacts, scan_facts
from uniseg_nets.quality.inferer import MeasuredInferer
from uniseg_nets.quality.measure import TaskMeasures, label_of
from uniseg_nets.runtimes import with_runtime
from uniseg_nets.tasks import Task, TaskTable
from uniseg_nets.transforms.preprocess import PreprocessCased
from uniseg_nets.weights.checkpoints import load_network, read_weights

__all__ = ["CaseMeasurer", "Measured", "foreground_dice"]


@dataclass(frozen=True, eq=False)
class Measured:
    """A measured case.

    Attributes:
        facts: of the scan.
        measures: of the network and the label map.
        dice: mean over the classes that the reference holds, on the network's grid; ``None`` without a reference.
        seconds: of preprocessing and inference, with what is measured.
    """

    facts: ScanFacts
    measures: TaskMeasures
    dice: float | None
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """What :meth:`from_json` reads; no voxel and no name of a patient."""
        return {
            "dice": self.dice,
            "seconds": round(self.seconds, 3),
            "spacing": list(self.facts.spacing),
            "extent": list(self.facts.extent),
            "padding": list(self.facts.padding),
            "quantiles": np.round(self.facts.quantiles, 4).tolist(),
            "numbers": self.measures.numbers,
            "features": np.round(self.measures.features, 5).tolist(),
            "found_features": np.round(self.measures.found_features, 5).tolist(),
        }

    @staticmethod
    def from_json(row: Mapping[str, Any]) -> Measured:
        """The case that :meth:`as_json` wrote."""
        facts = ScanFacts(
            tuple(row["spacing"]), tuple(row["extent"]), np.asarray(row["quantiles"]), tuple(row["padding"])
        )
        measures = TaskMeasures(dict(row["numbers"]), np.asarray(row["features"]), np.asarray(row["found_features"]))
        return Measured(facts, measures, row["dice"], row["seconds"])


class CaseMeasurer:
    """Runs a network over loaded scans and measures them.

    Args:
        weights: a UniSeg checkpoint.
        tasks: its task table.
        runtime, device: what computes, see :func:`~uniseg_nets.runtimes.with_runtime`.
        check_flips: see :class:`~uniseg_nets.quality.inferer.MeasuredInferer`.
    """

    def __init__(
        self,
        weights: str | PathLike[str],
        tasks: TaskTable,
        runtime: str = "auto",
        device: str = "cpu",
        check_flips: bool = False,
    ) -> None:
        sizes = read_weights(weights).sizes
        self.tasks, self.device = tasks, device
        self.network = with_runtime(load_network(UniSeg(**sizes), weights, device), runtime)
        sliding = UniSegInferer(tasks, roi_size=sizes["patch_size"])
        self.inferer = MeasuredInferer(sliding, tasks, check_flips=check_flips)

    def __call__(self, loaded: Mapping[str, MetaTensor], task: str | int) -> Measured:
        """Measures a case: its loaded ``image`` (C, x, y, z) and, where there is one, ``label`` (1, x, y, z).

        Raises:
            ValueError: the scan is none of the task's.
        """
        one, begun = self.tasks.one(task), time.perf_counter()
        facts = scan_facts(loaded["image"], one)
        keys = [key for key in ("image", "label") if key in loaded]
        case: dict[Any, Any] = PreprocessCased(keys, self.tasks, one.name)(dict(loaded))
        scores = self.inferer(case["image"].as_tensor()[None].to(self.device), self.network, one.name)
        seconds = time.perf_counter() - begun
        dice = None
        if "label" in case:
            dice = foreground_dice(label_of(scores[0], one), case["label"].as_tensor()[0].numpy(), one)
        return Measured(facts, self.inferer.measures[one.name], dice, seconds)


def foreground_dice(found: NDArray[Any], reference: NDArray[Any], task: Task) -> float:
    """The mean Dice over the classes that the reference holds; 0 where it holds none and something was found."""
    rates = []
    for value in range(1, task.num_outputs):
        mask, own = reference == value, found == value
        if mask.any():
            rates.append(2 * float((mask & own).sum()) / float(mask.sum() + own.sum()))
    return float(np.mean(rates)) if rates else float(not (found > 0).any())
