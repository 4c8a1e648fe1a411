"""From what was measured to a verdict: before the network runs, and after."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from os import PathLike
from typing import Any

from monai.data import MetaTensor

from uniseg_nets.quality import words
from uniseg_nets.quality.before import ScanProperties, geometry_faults, known_faults, scan_properties
from uniseg_nets.quality.fingerprint import Fingerprint, read_fingerprint
from uniseg_nets.quality.measure import Measures
from uniseg_nets.quality.verdict import Reason, Verdict
from uniseg_nets.tasks import Task, TaskTable

__all__ = ["LOW_DICE", "LOW_FLIPS", "Judge"]

logger = logging.getLogger(__name__)

# An estimated Dice below is a reason to look.
LOW_DICE = 0.6
# Agreement with the mirrored scan, or between an ensemble's members, below is a reason to look.
LOW_FLIPS = 0.7


class Judge:
    """Says of a scan, and of what was made of it, whether it is as it was in training.

    Without a fingerprint beside the weights, what is known by definition is left: geometry, Hounsfield units, signs,
    the size of the field, and whether anything was found.

    Args:
        tasks: the task table.
        task: what is segmented; ``None`` where each call names it.
        weights: the network's weights, or several networks'; the first one's fingerprint counts.
    """

    def __init__(
        self,
        tasks: TaskTable,
        task: str | int | Sequence[str] | None = None,
        weights: str | PathLike[str] | Sequence[str] | None = None,
    ) -> None:
        self.tasks = tasks
        self.task = task
        self.weights = weights

    @cached_property
    def fingerprint(self) -> Fingerprint | None:
        """Of the weights; ``None`` where there is none."""
        first = self.weights if isinstance(self.weights, (str, PathLike)) else next(iter(self.weights or ()), None)
        return None if first is None else read_fingerprint(first)

    def before(self, image: MetaTensor, task: str | int | Sequence[str] | None = None) -> tuple[Verdict, str]:
        """A loaded scan's verdict, and what was measured of it, as text for :meth:`after`.

        Args:
            image: (C, x, y, z).
            task: where none was given.
        """
        tasks = self._selected(task)
        reasons = geometry_faults(image)
        if reasons:
            return Verdict(tuple(reasons)), ""
        properties = scan_properties(image, tasks[0])
        if len(properties.quantiles) != len(tasks[0].channels):  # preprocessing says so, and which are needed
            return Verdict(), ""
        return Verdict(tuple(self.scan_reasons(properties, tasks))), json.dumps(properties.as_json())

    def scan_reasons(self, properties: ScanProperties, tasks: Sequence[Task]) -> list[Reason]:
        """What is odd about a measured scan, for tasks that see scans alike."""
        reasons = [reason for one in tasks for reason in known_faults(properties, one)]
        references = self._references(tasks)
        return reasons + (references[0][1].before(properties) if references else [])

    def after(
        self,
        before: Verdict,
        properties: str,
        measures: Mapping[str, Measures],
        task: str | int | Sequence[str] | None = None,
    ) -> Verdict:
        """The verdict on a case.

        Args:
            before: the scan's, from :meth:`before`.
            properties: measured there.
            measures: of each task, from :class:`~uniseg_nets.quality.inferer.MeasuredInferer`.
            task: where none was given.
        """
        tasks = [one for one in self._selected(task) if one.name in measures]
        reasons: list[Reason] = []
        estimates: list[float] = []
        references = dict(self._references(tasks))
        estimate = None if self.fingerprint is None else self.fingerprint.estimate
        for one in tasks:
            measured, reference = measures[one.name], references.get(one.name)
            reasons += _second_looks(measured)
            if reference is None:
                reasons += _nothing_found(measured, one)
                continue
            reasons += reference.after(measured, one)
            if estimate is not None and reference.dice is not None and properties:
                signs = reference.signs(ScanProperties.from_json(json.loads(properties)), measured)
                estimates.append(estimate.of(signs, reference.dice))
        verdict = before.with_reasons(reasons)
        if not estimates or estimate is None:
            return verdict
        lowest = min(estimates)
        verdict = Verdict(verdict.reasons, lowest, estimate.error)
        if lowest < LOW_DICE:
            verdict = verdict.with_reasons([Reason("estimate", words.estimate(lowest, estimate.error))])
        return verdict

    def _selected(self, task: str | int | Sequence[str] | None) -> tuple[Task, ...]:
        named = self.task if self.task is not None else task
        if named is None:
            raise ValueError("no task: name one for the judge or for the call")
        return self.tasks.select(named)

    def _references(self, tasks: Sequence[Task]) -> list[tuple[str, Any]]:
        """The tasks' names and what their training cases were like, where that is known."""
        known = {} if self.fingerprint is None else self.fingerprint.tasks
        return [(one.name, known[one.name]) for one in tasks if one.name in known]


def _second_looks(measured: Measures) -> list[Reason]:
    """Where a further pass, or other networks, found something else."""
    looks = [(name, measured[name]) for name in ("flips", "members") if name in measured]
    return [
        Reason("network", words.second_look(name, value))
        for name, value in looks
        if math.isfinite(value) and value < LOW_FLIPS
    ]


def _nothing_found(measured: Measures, task: Task) -> list[Reason]:
    volume = sum(measured.get(f"{name}.volume_ml", 0.0) for name in task.classes)
    return [] if volume else [Reason("after", words.nothing(task.name))]
