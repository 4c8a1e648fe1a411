"""Estimates the Dice of a case without a reference, from how much the case differs from those of training.

The estimate is a ridge regression on the logit of the Dice: it starts at the task's mean Dice in training and adds a
term per sign of trouble. It is fitted to training cases, as they are and degraded; its error is measured on left-out
cases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["SIGNS", "DiceEstimate"]

_Array = NDArray[np.float64]
SIGNS = ("agreement", "certainty", "label")
_PENALTY = 3.0
_COVERED = 0.9
_FEWEST = 20


@dataclass(frozen=True)
class DiceEstimate:
    """The regression.

    Attributes:
        weights: sign -> coefficient on the logit.
        base: intercept on the logit.
        error: the 90th percentile of the absolute error in Dice over left-out cases.
        cases: number of cases of the fit.
    """

    weights: dict[str, float]
    base: float
    error: float
    cases: int

    @classmethod
    def fitted(
        cls, signs: Sequence[Mapping[str, float]], levels: Sequence[float], dice: Sequence[float]
    ) -> DiceEstimate:
        """The regression for these cases.

        Args:
            signs: per case, sign -> number.
            levels: per case, the mean Dice of its task in training.
            dice: per case, its own Dice.

        Raises:
            ValueError: there are fewer than 20 cases.
        """
        if len(dice) < _FEWEST:
            raise ValueError(f"an estimate needs at least {_FEWEST} cases, got {len(dice)}")
        inputs = np.array([[1.0, *_inputs(one)] for one in signs])
        wanted = _logit(np.asarray(dice)) - _logit(np.asarray(levels))
        penalty = _PENALTY * np.eye(inputs.shape[1])
        penalty[0, 0] = 0
        inverse = np.linalg.inv(inputs.T @ inputs + penalty)
        weights = inverse @ inputs.T @ wanted
        leverage = np.einsum("ij,jk,ik->i", inputs, inverse, inputs)
        left_out = wanted - (wanted - inputs @ weights) / (1 - np.minimum(leverage, 0.99))
        errors = np.abs(_expit(left_out + _logit(np.asarray(levels))) - np.asarray(dice))
        own = {name: round(float(weight), 5) for name, weight in zip(SIGNS, weights[1:])}
        return cls(own, round(float(weights[0]), 5), round(float(np.quantile(errors, _COVERED)), 4), len(dice))

    def of(self, signs: Mapping[str, float], level: float) -> float:
        """The estimated Dice of a case.

        Args:
            signs: sign -> number.
            level: mean Dice of the task's training cases.
        """
        lowered = self.base + float(np.dot(list(self.weights.values()), _inputs(signs)))
        return float(_expit(_logit(np.asarray(level)) + lowered))

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def _inputs(signs: Mapping[str, float]) -> list[float]:
    return [signs[name] for name in SIGNS]


def _logit(share: _Array) -> _Array:
    inside = np.clip(share, 0.02, 0.98)
    return np.asarray(np.log(inside / (1 - inside)))


def _expit(value: _Array | float) -> _Array:
    return np.asarray(1 / (1 + np.exp(-np.asarray(value))))
