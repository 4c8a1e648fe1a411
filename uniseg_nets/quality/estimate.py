"""Estimates the Dice of a case without a reference, from how much the case differs from those of training.

The estimate is a ridge regression on the logit of the Dice: it starts at the task's mean Dice and adds a term per sign
of trouble. It is fitted to cases with a reference, best ones that the training did not use, as they are and degraded.
Its error is that on patients left out of the fit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["FEWEST_OF_TASK", "LOW_DICE", "SIGNS", "DiceEstimate", "KnownDice"]

_Array = NDArray[np.float64]
SIGNS = ("agreement", "certainty", "label")
# A lower Dice, estimated for a case or measured as the mean of a task, is a reason to check.
LOW_DICE = 0.6
_PENALTY = 3.0
_COVERED = 0.9
# Cases that an estimate needs, and those of a task: the mean of fewer would tell the Dice of a single one. Degraded
# copies of scans do not count.
_FEWEST, FEWEST_OF_TASK = 20, 4


@dataclass(frozen=True)
class KnownDice:
    """A case with a reference.

    Attributes:
        task: name of its task.
        patient: cases of one patient are left out together.
        signs: sign -> number.
        dice: mean Dice over the classes.
        worse: whether the scan was degraded on purpose.
    """

    task: str
    patient: str
    signs: Mapping[str, float]
    dice: float
    worse: bool = False


@dataclass(frozen=True)
class DiceEstimate:
    """The regression.

    Attributes:
        levels: task -> mean Dice of its cases that were not degraded, of four or more.
        weights: sign -> coefficient on the logit.
        base: intercept on the logit.
        cases: number of cases of the fit, with the degraded ones.
        held: whether the cases of the fit were held out of the training.
        error: the 90th percentile of the absolute error in Dice over left-out patients; 1 if not measured.
    """

    levels: dict[str, float]
    weights: dict[str, float]
    base: float
    cases: int
    held: bool
    error: float = 1.0

    def __post_init__(self) -> None:
        if set(self.weights) != set(SIGNS):
            raise ValueError(f"an estimate has the signs {sorted(self.weights)}, expected {sorted(SIGNS)}")
        if not np.isfinite([self.base, self.error, *self.weights.values(), *self.levels.values()]).all():
            raise ValueError("an estimate has numbers that are not finite")

    @classmethod
    def fitted(cls, cases: Sequence[KnownDice], held: bool) -> DiceEstimate:
        """The regression for these cases, with its error on left-out patients.

        Args:
            cases: measured cases. Those of a task with fewer than four cases that were not degraded are left out.
            held: whether they were held out of the training.

        Raises:
            ValueError: there are fewer than 20 cases that were not degraded, or no task has cases of two patients.
        """
        whole = cls.without_error(cases, held)
        used = [case for case in cases if case.task in whole.levels]
        errors = []
        for patient in dict.fromkeys(case.patient for case in used):
            own = [case for case in used if case.patient == patient]
            rest = [case for case in used if case.patient != patient]
            if all(case.worse for case in rest):
                continue
            others = cls._solved(rest, held, fewest_of_task=1)
            errors += [
                abs(found - case.dice) for case in own if (found := others.of(case.task, case.signs)) is not None
            ]
        if not errors:
            raise ValueError("an estimate needs cases of two patients or more of a task")
        return replace(whole, error=round(float(np.quantile(errors, _COVERED)), 4))

    @classmethod
    def without_error(cls, cases: Sequence[KnownDice], held: bool) -> DiceEstimate:
        """The regression alone.

        Args:
            cases, held: as for :meth:`fitted`.

        Raises:
            ValueError: there are fewer than 20 cases that were not degraded.
        """
        known = Counter(case.task for case in cases if not case.worse)
        count = sum(number for number in known.values() if number >= FEWEST_OF_TASK)
        if count < _FEWEST:
            raise ValueError(
                f"an estimate needs at least {_FEWEST} cases that were not degraded, of tasks with {FEWEST_OF_TASK} "
                f"or more, got {count}"
            )
        return cls._solved(cases, held)

    @classmethod
    def _solved(cls, cases: Sequence[KnownDice], held: bool, fewest_of_task: int = FEWEST_OF_TASK) -> DiceEstimate:
        """The regression for the cases of tasks that have enough of them."""
        by_task: dict[str, list[float]] = {}
        for case in cases:
            if not case.worse:
                by_task.setdefault(case.task, []).append(case.dice)
        levels = {task: round(float(np.mean(dice)), 4) for task, dice in by_task.items() if len(dice) >= fewest_of_task}
        used = [case for case in cases if case.task in levels]
        inputs = np.array([[1.0, *_inputs(case.signs)] for case in used])
        expected = np.array([levels[case.task] for case in used])
        lowered = _logit(np.array([case.dice for case in used])) - _logit(expected)
        penalty = _PENALTY * np.eye(inputs.shape[1])
        penalty[0, 0] = 0
        base, *weights = np.linalg.solve(inputs.T @ inputs + penalty, inputs.T @ lowered)
        own = {name: round(float(weight), 5) for name, weight in zip(SIGNS, weights)}
        return cls(levels, own, round(float(base), 5), len(used), held)

    def of(self, task: str, signs: Mapping[str, float]) -> float | None:
        """The estimated Dice of a case; ``None`` for a task with too few cases in the fit.

        Args:
            task: name of its task.
            signs: sign -> number.
        """
        if task not in self.levels:
            return None
        lowered = self.base + float(np.dot([self.weights[name] for name in SIGNS], _inputs(signs)))
        return float(_expit(_logit(np.asarray(self.levels[task])) + lowered))

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def _inputs(signs: Mapping[str, float]) -> list[float]:
    return [signs[name] for name in SIGNS]


def _logit(share: _Array) -> _Array:
    inside = np.clip(share, 0.02, 0.98)
    return np.asarray(np.log(inside / (1 - inside)))


def _expit(value: _Array | float) -> _Array:
    return np.asarray(1 / (1 + np.exp(-np.asarray(value))))
