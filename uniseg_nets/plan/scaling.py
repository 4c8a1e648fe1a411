"""Chooses the intensity scaling of a data set as nnU-Net does (Isensee et al., Nature Methods 2021, online methods)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["CT_SCALINGS", "choose_mask", "choose_scaling"]

CT_SCALINGS = ("percentiles", "window")
_OFFICIAL_WINDOW = {"scheme": "window", "low": -325.0, "high": 325.0}
_CLIP = (0.5, 99.5)  # percentiles
# Z-scores use non-zero voxels alone if the crop to them leaves less than this fraction of the volume.
_CROPPED = 0.75


def choose_scaling(
    channels: Sequence[str], foreground: Sequence[NDArray[np.float32]], ct: str
) -> list[Mapping[str, Any]]:
    """The scaling of each channel, in the format of the task table.

    Args:
        channels: modalities. All but CT are scaled to z-scores per case.
        foreground: (channel, voxel) per case, intensities of labelled voxels.
        ct: ``percentiles`` to clip CT to the 0.5th and 99.5th percentile of labelled voxels and to use their mean and
            standard deviation, as the official fine-tuning does; ``window`` for the Hounsfield window of the official
            training.

    Raises:
        ValueError: if the labelled voxels of a CT have no value, or one value alone: percentiles would be no window.
    """
    chosen: list[Mapping[str, Any]] = []
    for index, channel in enumerate(channels):
        if channel != "CT":
            chosen.append({"scheme": "z_score"})
        elif ct == "window":
            chosen.append(_OFFICIAL_WINDOW)
        else:
            values = np.concatenate([case[index] for case in foreground])
            chosen.append({"scheme": "percentiles", **_percentiles(values, f"channel {index} (CT)")})
    return chosen


def _percentiles(values: NDArray[np.float32], channel: str) -> dict[str, float]:
    if not len(values):
        raise ValueError(f"{channel}: no labelled voxel has a finite value: check images and label maps")
    low, high = np.percentile(values, _CLIP)
    numbers = {"low": low, "high": high, "mean": values.mean(), "std": values.std()}
    rounded = {key: round(float(number), 2) for key, number in numbers.items()}
    if rounded["low"] >= rounded["high"] or rounded["std"] <= 0:
        raise ValueError(
            f"{channel}: labelled voxels have values from {low:g} to {high:g}, expected a range of Hounsfield units: "
            "check images and label maps, name another modality (`--channels`), or plan with `--ct_scaling window`"
        )
    return rounded


def choose_mask(channels: Sequence[str], crop_shares: Sequence[float]) -> str:
    """``always`` if z-scores should use non-zero voxels alone, else ``never``.

    Args:
        channels: modalities.
        crop_shares: volume of the box around non-zero voxels per case, relative to the whole scan.
    """
    return "always" if set(channels) != {"CT"} and np.median(crop_shares) < _CROPPED else "never"
