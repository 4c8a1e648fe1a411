"""Where a number lies in nearly all cases, learnt from few.

A number is taken to a scale on which it is spread evenly, its mean and deviation are taken there, and a new one is
expected within the prediction interval of Student's t: wide where few cases were seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

__all__ = ["SCALES", "Range"]

_TINY = 1e-3
_Array = NDArray[np.float64]


def _log(values: _Array) -> _Array:
    return np.log(np.maximum(values, _TINY))


def _logit(values: _Array) -> _Array:
    inside = np.clip(values, 0.005, 0.995)
    return np.log(inside / (1 - inside))


def _expit(values: _Array) -> _Array:
    return 1 / (1 + np.exp(-values))


def _same(values: _Array) -> _Array:
    return values


# To the scale, back from it, and the least deviation on it: fewer cases than there are patients look too much alike.
SCALES: Mapping[str, tuple[Callable[[_Array], _Array], Callable[[_Array], _Array], float]] = {
    "ratio": (_log, np.exp, 0.1),
    "share": (_logit, _expit, 0.35),
    "place": (_same, _same, 0.03),
}


@dataclass(frozen=True)
class Range:
    """Where a number is expected.

    Attributes:
        scale: ``ratio`` for lengths, volumes and distances; ``share`` for what lies from 0 to 1; ``place`` for a
            place in the scan.
        mean, std: on that scale.
        cases: that were seen.
        side: which way out matters: ``low``, ``high`` or ``both``.
        outside: share of good cases that is expected to lie outside, at one end.
    """

    scale: str
    mean: float
    std: float
    cases: int
    side: str = "both"
    outside: float = 0.001

    @classmethod
    def fitted(cls, values: ArrayLike, scale: str, side: str = "both", outside: float = 0.001) -> Range:
        """From the numbers of good cases, at least two of them finite.

        Raises:
            ValueError: fewer.
        """
        to, _, smallest = SCALES[scale]
        array = np.asarray(values, dtype=np.float64)
        array = to(array[np.isfinite(array)])
        if len(array) < 2:
            raise ValueError(f"a range needs two cases at least, got {len(array)}")
        std = max(float(array.std(ddof=1)), smallest)
        return cls(scale, float(array.mean()), std, len(array), side, outside)

    def distance(self, value: float) -> float:
        """How many standard deviations a number lies above the mean; below it, a negative number."""
        return float((SCALES[self.scale][0](np.asarray(value)) - self.mean) / self.std)

    @property
    def _reach(self) -> float:
        """Standard deviations from the mean to the end of what is expected."""
        return float(stats.t.ppf(1 - self.outside, self.cases - 1) * np.sqrt(1 + 1 / self.cases))

    @property
    def low(self) -> float:
        """The lower end of what is expected."""
        return float(SCALES[self.scale][1](np.asarray(self.mean - self._reach * self.std)))

    @property
    def high(self) -> float:
        """The upper end of what is expected."""
        return float(SCALES[self.scale][1](np.asarray(self.mean + self._reach * self.std)))

    def holds(self, value: float) -> bool:
        """Whether a number is as expected; one that is no number is."""
        if not np.isfinite(value):
            return True
        ways = {"low": -1.0, "high": 1.0}
        distance = self.distance(value)
        out = abs(distance) if self.side == "both" else ways[self.side] * distance
        return out <= self._reach

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"mean": round(self.mean, 5), "std": round(self.std, 5)}
