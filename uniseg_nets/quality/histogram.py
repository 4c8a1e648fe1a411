"""How far a channel's intensities lie from those of the training's scans.

Two histograms differ by how far intensities must move to make one of the other: the area between their quantiles
(Wasserstein's distance). Channels with a unit, CT and PET, are compared in it; others relative to their own spread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from uniseg_nets.quality.ranges import Range

__all__ = ["ChannelHistogram"]

_Array = NDArray[np.float64]
_WITH_UNIT = ("CT", "PET")
# Hounsfield units end here: what lies beyond is metal, or padding.
_HOUNSFIELD = (-1024.0, 3071.0)
_MIDDLE = (0.25, 0.75)


@dataclass(frozen=True, eq=False)
class ChannelHistogram:
    """The intensities of a channel in training.

    Attributes:
        modality: of the channel.
        quantiles: their mean over the cases, at :data:`~uniseg_nets.quality.before.LEVELS`, in the unit compared.
        padding: where the share of padding lies.
        distances: where the distances of good scans lie.
    """

    modality: str
    quantiles: _Array
    padding: Range
    distances: Range

    @classmethod
    def fitted(cls, modality: str, quantiles: ArrayLike, padding: ArrayLike) -> ChannelHistogram:
        """From the quantiles (case, level) and padding (case,) of good scans."""
        rows = np.stack([_comparable(row, modality) for row in np.asarray(quantiles, dtype=np.float64)])
        left_out = [_area(rows[i], np.delete(rows, i, axis=0).mean(axis=0)) for i in range(len(rows))]
        return cls(modality, rows.mean(axis=0), Range.fitted(padding, "place"), Range.fitted(left_out, "ratio", "high"))

    def distance(self, quantiles: ArrayLike) -> float:
        """How far the intensities of a scan, given by their quantiles (level,), lie from the training's."""
        return _area(_comparable(np.asarray(quantiles, dtype=np.float64), self.modality), self.quantiles)

    def as_json(self) -> dict[str, Any]:
        return {
            "modality": self.modality,
            "quantiles": [float(f"{value:.5g}") for value in self.quantiles],
            "padding": self.padding.as_json(),
            "distances": self.distances.as_json(),
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> ChannelHistogram:
        return cls(
            content["modality"],
            np.asarray(content["quantiles"]),
            Range(**content["padding"]),
            Range(**content["distances"]),
        )


def _comparable(quantiles: _Array, modality: str) -> _Array:
    """Quantiles in the unit that is compared."""
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
