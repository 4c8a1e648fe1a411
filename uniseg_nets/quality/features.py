"""How far a scan's features lie from those of the training's scans: a Gaussian on few directions, and the rest.

A probabilistic principal component analysis (Tipping and Bishop, 1999) of pooled features: along the directions in
which training cases differ most distances count by their spread, and along all others by one common spread. Distances
of training cases are measured with the case left out.

Letters: N cases, F features, D directions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from uniseg_nets.quality.ranges import Range

__all__ = ["FeatureSpace"]

_Array = NDArray[np.float64]
_DIRECTIONS = 8
_CASES_PER_DIRECTION = 4
_DIGITS = 5


@dataclass(frozen=True, eq=False)
class FeatureSpace:
    """Where a task's training scans lie among all features.

    Attributes:
        mean: (F,).
        unit: (F,), what a feature is divided by.
        directions: (D, F), orthonormal.
        spread: (D,), variance along each.
        rest: mean variance along all others.
        distances: where the distances of good scans lie.
    """

    mean: _Array
    unit: _Array
    directions: _Array
    spread: _Array
    rest: float
    distances: Range

    @classmethod
    def fitted(cls, features: ArrayLike) -> FeatureSpace:
        """From the features of good scans, (N, F), at least four of them.

        Raises:
            ValueError: fewer.
        """
        points = np.asarray(features, dtype=np.float64)
        if len(points) < 4:
            raise ValueError(f"a feature space needs four cases at least, got {len(points)}")
        left_out = [_distance(points[i], *_analysed(np.delete(points, i, axis=0))) for i in range(len(points))]
        return cls(*_analysed(points), Range.fitted(left_out, "ratio", "high"))

    def distance(self, features: ArrayLike) -> float:
        """How far features (F,) lie from the middle: about 1 for the training's scans."""
        point = np.asarray(features, dtype=np.float64)
        return _distance(point, self.mean, self.unit, self.directions, self.spread, self.rest)

    def as_json(self) -> dict[str, Any]:
        arrays = {name: _short(getattr(self, name)) for name in ("mean", "unit", "directions", "spread")}
        return {**arrays, "rest": float(f"{self.rest:.{_DIGITS}g}"), "distances": self.distances.as_json()}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> FeatureSpace:
        mean, unit, directions, spread = (
            np.asarray(content[name]) for name in ("mean", "unit", "directions", "spread")
        )
        return cls(mean, unit, directions, spread, content["rest"], Range(**content["distances"]))


def _analysed(points: _Array) -> tuple[_Array, _Array, _Array, _Array, float]:
    """(N, F) -> mean, unit, directions, spread and rest."""
    mean = points.mean(axis=0)
    unit = points.std(axis=0) + 1e-3
    _, values, directions = np.linalg.svd((points - mean) / unit, full_matrices=False)
    variances = values**2 / max(len(points) - 1, 1)
    kept = max(1, min(_DIRECTIONS, len(points) // _CASES_PER_DIRECTION))
    rest = float(variances[kept:].sum() / max(points.shape[1] - kept, 1)) + 1e-6
    return mean, unit, directions[:kept], np.maximum(variances[:kept], rest), rest


def _distance(point: _Array, mean: _Array, unit: _Array, directions: _Array, spread: _Array, rest: float) -> float:
    """The root of the mean squared distance per degree of freedom, the kept directions and the rest alike."""
    away = (point - mean) / unit
    along = directions @ away
    aside = float(away @ away - along @ along)
    inside = float((along**2 / spread).mean())
    outside = max(aside, 0.0) / rest / (len(point) - len(spread))
    return float(np.sqrt((inside + outside) / 2))


def _short(array: _Array) -> Any:
    """As nested lists, to few digits."""
    return np.vectorize(lambda value: float(f"{value:.{_DIGITS}g}"))(array).tolist()
