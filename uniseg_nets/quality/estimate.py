"""An estimate of the Dice that nobody can measure without a reference, from how a case differs from training's.

A ridge regression on the logit of the Dice: the task's own level in training, lowered by the signs of trouble. Fitted
on training cases, as they are and made worse; its error is that on cases left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["SIGNS", "DiceEstimate"]

_Array = NDArray[np.float64]
SIGNS = ("features", "agreement", "certainty", "label", "intensities")
_PENALTY = 3.0
_COVERED = 0.9
_FEWEST = 20


@dataclass(frozen=True)
class DiceEstimate:
    """The regression.

    Attributes:
        weights: sign -> what it adds to the logit.
        base: added for every case.
        error: nine of ten cases left out were estimated at most so wrongly, in Dice.
        cases: that it was fitted on.
    """

    weights: dict[str, float]
    base: float
    error: float
    cases: int

    @classmethod
    def fitted(
        cls, signs: Sequence[Mapping[str, float]], levels: Sequence[float], dice: Sequence[float]
    ) -> DiceEstimate:
        """From the signs of cases, the mean Dice of each one's task, and each one's own.

        Raises:
            ValueError: fewer than 20 cases.
        """
        if len(dice) < _FEWEST:
            raise ValueError(f"an estimate needs {_FEWEST} cases at least, got {len(dice)}")
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
        """The estimate for a case of a task whose training cases had this mean Dice."""
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
