"""The range of a number in nearly all cases, estimated from few cases.

The numbers are transformed to a scale on which they are about normally distributed. Their mean and standard deviation
on that scale give the prediction interval of Student's t for a new case. Few cases give a wide interval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

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


# Name of a scale -> transform, inverse transform, and smallest standard deviation on the scale. The last one matters
# for few cases, which may happen to be much alike.
SCALES: Mapping[str, tuple[Callable[[_Array], _Array], Callable[[_Array], _Array], float]] = {
    "ratio": (_log, np.exp, 0.1),
    "share": (_logit, _expit, 0.35),
    "place": (_same, _same, 0.03),
}


@dataclass(frozen=True)
class Range:
    """The usual range of a number.

    Attributes:
        scale: ``ratio`` (logarithm) for lengths, volumes and distances; ``share`` (logit) for numbers from 0 to 1;
            ``place`` (unchanged) for a position in the scan.
        mean, std: mean and standard deviation on that scale.
        cases: number of cases of the fit.
        side: the side on which a number counts as unusual: ``low``, ``high`` or ``both``.
        outside: share of good cases that is expected outside of the range, per side.
    """

    scale: str
    mean: float
    std: float
    cases: int
    side: str = "both"
    outside: float = 0.001

    def __post_init__(self) -> None:
        if self.scale not in SCALES or self.side not in ("low", "high", "both"):
            raise ValueError(f"a range has scale {self.scale!r} and side {self.side!r}")
        if not (np.isfinite([self.mean, self.std]).all() and self.std > 0 and self.cases > 1 and 0 < self.outside < 1):
            raise ValueError(f"a range has mean {self.mean}, std {self.std}, {self.cases} cases")

    @classmethod
    def fitted(cls, values: ArrayLike, scale: str, side: str = "both", outside: float = 0.001) -> Range:
        """The range of the numbers of good cases.

        Args:
            values: (case,); values that are not finite are left out.
            scale, side, outside: as for the class.

        Raises:
            ValueError: fewer than two values are finite.
        """
        to, _, smallest = SCALES[scale]
        array = np.asarray(values, dtype=np.float64)
        array = to(array[np.isfinite(array)])
        if len(array) < 2:
            raise ValueError(f"a range needs at least two cases, got {len(array)}")
        std = max(float(array.std(ddof=1)), smallest)
        return cls(scale, float(array.mean()), std, len(array), side, outside)

    def distance(self, value: float) -> float:
        """The distance of a number from the mean, in standard deviations on the scale; negative below the mean."""
        return float((SCALES[self.scale][0](np.asarray(value)) - self.mean) / self.std)

    @property
    def _reach(self) -> float:
        """The distance from the mean to either end of the range, in standard deviations."""
        return float(stdtrit(self.cases - 1, 1 - self.outside) * np.sqrt(1 + 1 / self.cases))

    @property
    def low(self) -> float:
        """The lower end of the range."""
        return float(SCALES[self.scale][1](np.asarray(self.mean - self._reach * self.std)))

    @property
    def high(self) -> float:
        """The upper end of the range."""
        return float(SCALES[self.scale][1](np.asarray(self.mean + self._reach * self.std)))

    def holds(self, value: float) -> bool:
        """Whether a number is usual. NaN and infinities count as usual."""
        if not np.isfinite(value):
            return True
        ways = {"low": -1.0, "high": 1.0}
        distance = self.distance(value)
        out = abs(distance) if self.side == "both" else ways[self.side] * distance
        return out <= self._reach

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"mean": round(self.mean, 5), "std": round(self.std, 5)}
