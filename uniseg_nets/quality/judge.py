"""Turns measurements into a verdict, before and after the network runs."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from os import PathLike
from typing import Any

from monai.data import MetaTensor

from uniseg_nets.quality import words
from uniseg_nets.quality.before import ScanProperties, doubts, geometry_faults, known_faults, scan_properties
from uniseg_nets.quality.estimate import LOW_DICE
from uniseg_nets.quality.fingerprint import Fingerprint, read_fingerprint
from uniseg_nets.quality.measure import Measures
from uniseg_nets.quality.verdict import REFUSED, Reason, Verdict
from uniseg_nets.tasks import Task, TaskTable

__all__ = ["LOW_FLIPS", "Judge"]

logger = logging.getLogger(__name__)

# A lower agreement with the mirrored scan, or between the networks of an ensemble, is a reason to check.
LOW_FLIPS = 0.7


class Judge:
    """Decides whether a scan and its label map are as usual in training.

    Without a fingerprint beside the weights only definitions are checked: geometry, Hounsfield units, negative values,
    the size of the scan, and whether the label map is empty. The verdict says so, as ``compared_with_training``.

    Args:
        tasks: the task table.
        task: the task; ``None`` if each call names it.
        weights: weights of the network, or of several networks; the fingerprint of the first one is used.
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
        """The fingerprint of the weights; ``None`` if there is none."""
        first = self.weights if isinstance(self.weights, (str, PathLike)) else next(iter(self.weights or ()), None)
        return None if first is None else read_fingerprint(first)

    def before(self, image: MetaTensor, task: str | int | Sequence[str] | None = None) -> Verdict:
        """The verdict on a loaded scan, before the network runs.

        Args:
            image: (C, x, y, z).
            task: the task, if the judge was made without one.
        """
        tasks = self._selected(task)
        faults = geometry_faults(image)
        if faults:
            return Verdict(tuple(faults))
        reasons, properties = doubts(image), scan_properties(image, tasks[0])
        if len(properties.quantiles) == len(tasks[0].channels):  # else preprocessing says so, and which are needed
            reasons += self.scan_reasons(properties, tasks)
        return Verdict(tuple(reasons), compared_with_training=self._knows(tasks))

    def scan_reasons(self, properties: ScanProperties, tasks: Sequence[Task]) -> list[Reason]:
        """Reasons to check a measured scan, for tasks with the same preprocessing."""
        reasons = [reason for one in tasks for reason in known_faults(properties, one)]
        references = self._references(tasks)
        return reasons + (references[0][1].before(properties) if references else [])

    def after(
        self,
        before: Verdict,
        measures: Mapping[str, Measures],
        task: str | int | Sequence[str] | None = None,
    ) -> Verdict:
        """The verdict on a case. The Dice of a refused one is not estimated.

        Args:
            before: verdict on the scan, from :meth:`before`.
            measures: task name -> measurements, from :class:`~uniseg_nets.quality.inferer.MeasuredInferer`.
            task: the task, if the judge was made without one.
        """
        selected = self._selected(task)
        tasks = [one for one in selected if one.name in measures]
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
            if estimate is not None and before.word != REFUSED:
                dice = estimate.of(one.name, reference.signs(measured, one))
                estimates += [] if dice is None else [dice]
        verdict = replace(before.with_reasons(reasons), compared_with_training=self._knows(selected))
        if not estimates or estimate is None:
            return verdict
        lowest = min(estimates)
        verdict = replace(verdict, estimated_dice=lowest, estimate_error=estimate.error)
        if lowest < LOW_DICE:
            verdict = verdict.with_reasons([Reason("estimate", words.estimate(lowest, estimate.error))])
        return verdict

    def _selected(self, task: str | int | Sequence[str] | None) -> tuple[Task, ...]:
        named = self.task if self.task is not None else task
        if named is None:
            raise ValueError("no task: name one for the judge or for the call")
        return self.tasks.select(named)

    def _knows(self, tasks: Sequence[Task]) -> bool:
        """Whether the fingerprint has all of these tasks."""
        return len(self._references(tasks)) == len(tasks)

    def _references(self, tasks: Sequence[Task]) -> list[tuple[str, Any]]:
        """The names of the tasks with their references, for tasks that the fingerprint has."""
        known = {} if self.fingerprint is None else self.fingerprint.tasks
        return [(one.name, known[one.name]) for one in tasks if one.name in known]


def _second_looks(measured: Measures) -> list[Reason]:
    """Reasons to check a case whose mirrored scan, or whose other networks, give another label map."""
    looks = [(name, measured[name]) for name in ("flips", "members") if name in measured]
    return [
        Reason("network", words.second_look(name, value))
        for name, value in looks
        if math.isfinite(value) and value < LOW_FLIPS
    ]


def _nothing_found(measured: Measures, task: Task) -> list[Reason]:
    volume = sum(measured.get(f"{name}.volume_ml", 0.0) for name in task.classes)
    return [] if volume else [Reason("after", words.nothing(task.name))]
