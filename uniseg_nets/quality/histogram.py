"""The distance of a channel's intensities from those of the training scans.

It is Wasserstein's distance between the two histograms, computed as the area between their quantiles. CT and PET are
compared in their unit, other modalities relative to the interquartile range.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from uniseg_nets.quality.before import LEVELS
from uniseg_nets.quality.ranges import Range

__all__ = ["ChannelHistogram"]

_Array = NDArray[np.float64]
_WITH_UNIT = ("CT", "PET")
# Values beyond these Hounsfield units are metal or padding.
_HOUNSFIELD = (-1024.0, 3071.0)
_MIDDLE = (0.25, 0.75)


@dataclass(frozen=True, eq=False)
class ChannelHistogram:
    """The intensities of a channel in training.

    Attributes:
        modality: modality of the channel.
        quantiles: (level,), mean over the cases of the quantiles at :data:`~uniseg_nets.quality.before.LEVELS`, in the
            unit of the comparison.
        distances: usual range of the distances of good scans.
    """

    modality: str
    quantiles: _Array
    distances: Range

    def __post_init__(self) -> None:
        if self.quantiles.shape != (len(LEVELS),) or not np.isfinite(self.quantiles).all():
            raise ValueError(f"a histogram has {self.quantiles.size} numbers, expected {len(LEVELS)} finite ones")

    @classmethod
    def fitted(cls, modality: str, quantiles: ArrayLike) -> ChannelHistogram:
        """The histogram of good scans, from their quantiles (case, level)."""
        rows = np.stack([_comparable(row, modality) for row in np.asarray(quantiles, dtype=np.float64)])
        left_out = [_area(rows[i], np.delete(rows, i, axis=0).mean(axis=0)) for i in range(len(rows))]
        return cls(modality, rows.mean(axis=0), Range.fitted(left_out, "ratio", "high"))

    def distance(self, quantiles: ArrayLike) -> float:
        """The distance of a scan with these quantiles (level,) from the training scans."""
        return _area(_comparable(np.asarray(quantiles, dtype=np.float64), self.modality), self.quantiles)

    def as_json(self) -> dict[str, Any]:
        return {
            "modality": self.modality,
            "quantiles": [float(f"{value:.5g}") for value in self.quantiles],
            "distances": self.distances.as_json(),
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> ChannelHistogram:
        return cls(
            content["modality"],
            np.asarray(content["quantiles"]),
            Range(**content["distances"]),
        )


def _comparable(quantiles: _Array, modality: str) -> _Array:
    """Quantiles (level,) in the unit of the comparison."""
    kind = modality.upper()
    if kind == "CT":
        return np.clip(quantiles, *_HOUNSFIELD)
    if kind in _WITH_UNIT:
        return quantiles
    levels = np.linspace(0, 1, len(quantiles))
    low, high = np.interp(_MIDDLE, levels, quantiles)
    return (quantiles - np.interp(0.5, levels, quantiles)) / max(high - low, 1e-6)


def _area(one: _Array, other: _Array) -> float:
    return float(np.abs(one - other).mean())
