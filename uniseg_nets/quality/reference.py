"""The usual ranges of a task's training cases, and the reasons why a new case is unusual."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from uniseg_nets.quality import words
from uniseg_nets.quality.before import ScanProperties
from uniseg_nets.quality.estimate import LOW_DICE
from uniseg_nets.quality.histogram import ChannelHistogram
from uniseg_nets.quality.measure import Measures
from uniseg_nets.quality.ranges import Range
from uniseg_nets.quality.verdict import Reason
from uniseg_nets.tasks import Task

__all__ = ["LAYERS", "TaskReference"]

# The layers of a verdict: the scan, the network, the label map.
LAYERS = ("before", "network", "after")
_FEWEST = 4  # cases that a reference needs
# Name of a number, without its axis and its class -> scale and the side that counts, see ``Range``.
_SCAN = {"extent": ("ratio", "both"), "spacing": ("ratio", "high")}
_NETWORK = {"agreement": ("share", "low"), "certainty": ("share", "low")}
_LABEL = {
    "volume_ml": ("ratio", "both"),
    "largest_share": ("share", "low"),
    "at_z": ("place", "both"),
    "at_y": ("place", "both"),
    "at_x": ("place", "both"),
    "width_z": ("ratio", "both"),
    "width_y": ("ratio", "both"),
    "width_x": ("ratio", "both"),
}
# A truncated or absent class is no reason if this happened in a larger share of the training scans.
_USUAL = 0.05
_FARTHEST = 8.0  # standard deviations: larger distances count as this one


@dataclass(frozen=True, eq=False)
class TaskReference:
    """The usual ranges of a task's training cases.

    Attributes:
        cases: number of cases.
        numbers: name of a number -> its usual range.
        channels: intensities of each channel.
        absent, truncated: class -> share of the training scans in which it was not found, or reaches the border.
        dice: mean Dice of the weights; ``None`` if too few cases had a reference, or the fit did not keep it.
    """

    cases: int
    numbers: dict[str, Range]
    channels: tuple[ChannelHistogram, ...]
    absent: dict[str, float] = field(default_factory=dict)
    truncated: dict[str, float] = field(default_factory=dict)
    dice: float | None = None

    def __post_init__(self) -> None:
        if self.dice is not None and not 0 <= self.dice <= 1:
            raise ValueError(f"a task has a mean Dice of {self.dice}, expected 0 to 1")

    @classmethod
    def fitted(cls, task: Task, properties: Sequence[ScanProperties], measures: Sequence[Measures]) -> TaskReference:
        """The reference for the cases of a task.

        Args:
            task: the task.
            properties, measures: measurements per case.

        Raises:
            ValueError: there are fewer than four cases.
        """
        if len(properties) < _FEWEST:
            raise ValueError(
                f"task {task.name!r} has {len(properties)} measured cases, expected {_FEWEST} or more: a fingerprint "
                "of fewer says nothing, add cases"
            )
        rows: list[Mapping[str, float]] = [one.measures() | two for one, two in zip(properties, measures)]
        numbers = {}
        for name in dict.fromkeys(key for row in rows for key in row):
            kind = _kind_of(name)
            seen = [row[name] for row in rows if row.get(name, math.nan) > 0]
            if kind is not None and len(seen) >= _FEWEST:
                numbers[name] = Range.fitted(seen, *kind)
        channels = tuple(
            ChannelHistogram.fitted(modality, [one.quantiles[index] for one in properties])
            for index, modality in enumerate(task.channels)
        )
        return cls(
            len(properties),
            numbers,
            channels,
            {name: _share(row.get(f"{name}.volume_ml", 0) == 0 for row in rows) for name in task.classes},
            {name: _share(row.get(f"{name}.truncated", 0) > 0 for row in rows) for name in task.classes},
        )

    def before(self, properties: ScanProperties) -> list[Reason]:
        """Reasons why a scan is unlike those of training."""
        reasons = []
        for what in _SCAN:
            names = [name for name in properties.measures() if name.startswith(what) and name in self.numbers]
            sizes = [properties.measures()[name] for name in names]
            ranges = [self.numbers[name] for name in names]
            if not all(one.holds(mm) for one, mm in zip(ranges, sizes)):
                reasons.append(Reason("before", words.lengths(what, sizes, ranges)))
        for channel, quantiles in zip(self.channels, properties.quantiles):
            if not channel.distances.holds(channel.distance(quantiles)):
                reasons.append(Reason("before", words.intensities(channel.modality)))
        return reasons

    def after(self, measures: Measures, task: Task) -> list[Reason]:
        """Reasons why the weights are poor, or the network's behaviour or the label map is unlike those of training."""
        measures = self._from_the_usual_side(measures, task)
        reasons = []
        if self.dice is not None and self.dice < LOW_DICE:
            reasons.append(Reason("network", words.poor(task.name, self.dice, LOW_DICE)))
        reasons += [
            Reason("network", words.network(name, measures[name], self.numbers[name].low))
            for name in _NETWORK
            if name in self.numbers and not self.numbers[name].holds(measures[name])
        ]
        for name, limited in zip(task.classes, task.max_pieces):
            reasons += self._of_class(name, measures, task.axes, limited)
        return reasons

    def _of_class(self, name: str, numbers: Mapping[str, float], axes: str, limited: int) -> list[Reason]:
        """Reasons to check a class of the label map; ``limited`` is the class's number in ``max_pieces``."""
        if numbers.get(f"{name}.volume_ml", 0) == 0:
            return [Reason("after", words.absent(name))] if self.absent.get(name, 0) <= _USUAL else []
        sentences = []
        for ending in _LABEL:
            expected, value = self.numbers.get(f"{name}.{ending}"), numbers.get(f"{name}.{ending}", math.nan)
            if expected is not None and not expected.holds(value):
                sentences.append(words.label(name, ending, value, expected.low, expected.high, axes))
        if numbers.get(f"{name}.truncated", 0) and self.truncated.get(name, 0) <= _USUAL:
            sentences.append(words.truncated(name))
        return [Reason("after", words.removed_later(text) if limited else text) for text in sentences]

    def signs(self, measures: Measures, task: Task) -> dict[str, float]:
        """The input of the Dice estimate: distances of a case from the training cases, in standard deviations.

        Returns:
            ``agreement``, ``certainty`` and ``label``; larger numbers are worse.
        """
        numbers = self._from_the_usual_side(measures, task)
        label = [name for name in self.numbers if "." in name and name in numbers]
        lost = [name for name, share in self.absent.items() if share <= _USUAL and not numbers.get(f"{name}.volume_ml")]
        return {
            "agreement": self._worst(["agreement"], numbers),
            "certainty": self._worst(["certainty"], numbers),
            "label": _FARTHEST if lost else self._worst(label, numbers),
        }

    def _from_the_usual_side(self, measures: Measures, task: Task) -> Measures:
        """The measures, with positions counted from the other side of the scan if they are usual from there alone.

        For tasks whose axes are the file's: files store the same slices from either side, and are not turned.
        """
        if task.axes != "acquisition":
            return measures
        turned = {name: 1 - value for name, value in measures.items() if ".at_" in name and name in self.numbers}
        usual = self.numbers
        return measures | {
            name: value
            for name, value in turned.items()
            if usual[name].holds(value) and not usual[name].holds(measures[name])
        }

    def _worst(self, names: Sequence[str], numbers: Mapping[str, float]) -> float:
        """The largest distance of some numbers from their ranges, each towards the side that counts.

        A number without a range is left out; one that is not finite has the largest distance.
        """
        away = [-_FARTHEST]
        for name in names:
            value = numbers.get(name, math.nan)
            if name not in self.numbers:
                continue
            if not math.isfinite(value):
                away.append(_FARTHEST)
                continue
            distance = self.numbers[name].distance(value)
            side = self.numbers[name].side
            away.append(abs(distance) if side == "both" else -distance if side == "low" else distance)
        return _bounded(max(away))

    def as_json(self) -> dict[str, Any]:
        return {
            "cases": self.cases,
            "numbers": {name: one.as_json() for name, one in self.numbers.items()},
            "channels": [channel.as_json() for channel in self.channels],
            "absent": self.absent,
            "truncated": self.truncated,
            "dice": self.dice,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> TaskReference:
        return cls(
            content["cases"],
            {name: Range(**one) for name, one in content["numbers"].items()},
            tuple(map(ChannelHistogram.from_json, content["channels"])),
            dict(content["absent"]),
            dict(content["truncated"]),
            content.get("dice"),
        )


def _kind_of(name: str) -> tuple[str, str] | None:
    """The scale of a number and the side that counts; ``None`` if the number is not compared."""
    if "." in name:
        return _LABEL.get(name.rpartition(".")[2])
    return _NETWORK.get(name) or _SCAN.get(name.partition("_")[0])


def _share(hits: Iterable[bool]) -> float:
    return round(float(np.mean(list(hits))), 4)


def _bounded(distance: float) -> float:
    return float(np.clip(distance, -_FARTHEST, _FARTHEST)) if math.isfinite(distance) else _FARTHEST
