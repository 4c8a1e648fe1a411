"""What one labelled case holds, found out by reading it whole."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from uniseg_nets.transforms.grid import Grid, same_grid
from uniseg_nets.transforms.load import LoadCase

__all__ = ["CaseFacts", "examine"]

_PERCENTILES = (0, 1, 50, 99, 100)


@dataclass(frozen=True)
class CaseFacts:
    """What a case holds.

    Attributes:
        name: of the case.
        spacing: (z, y, x) in mm.
        shape: (z, y, x) voxels.
        intensities: for each channel its minimum, 1st, 50th and 99th percentile and maximum over non-zero voxels.
        voxels: label value -> number of voxels, without 0.
        digest: of the image's voxels; equal for copies.
    """

    name: str
    spacing: tuple[float, ...]
    shape: tuple[int, ...]
    intensities: tuple[tuple[float, ...], ...]
    voxels: dict[int, int]
    digest: str


def examine(case: Mapping[str, Any]) -> CaseFacts:
    """Reads a case.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file that cannot be read, an image and a label map on different grids, labels that are no whole
            numbers from 0 to 255, an image of nothing but zeros. The message names the file.
    """
    load = LoadCase()
    image, label = load(case["image"]), load(case["label"])
    affine = image.affine.numpy()
    shape = tuple(image.shape[1:])
    if label.shape[1:] != image.shape[1:] or not same_grid(label.affine, affine):
        raise ValueError(
            f"{case['label']} lies on another grid (size {tuple(label.shape[1:])}, affine "
            f"{np.round(label.affine.numpy(), 3).tolist()}) than {case['image'][0]} (size {shape}, affine "
            f"{np.round(affine, 3).tolist()}): resample one to the other"
        )
    # In (z, y, x), as NIfTI voxels lie in memory: nothing below has to copy them into another order.
    channels, labels = (volume.numpy().transpose(0, 3, 2, 1) for volume in (image, label))
    values, counts = np.unique(labels, return_counts=True)
    wrong = [value for value in values.tolist() if value != round(value) or not 0 <= value <= 255]
    if wrong:
        raise ValueError(f"{case['label']} holds {wrong[:5]}: labels are whole numbers from 0 to 255")
    if not np.any(channels):
        raise ValueError(f"{case['image'][0]} holds nothing but zeros")
    grid = Grid((shape[0], shape[1], shape[2]), affine, (1.0, 1.0, 1.0))
    return CaseFacts(
        case["name"],
        tuple(float(mm) for mm in grid.spacing),
        grid.stored_shape,
        tuple(_intensities(channel) for channel in channels),
        {int(value): int(count) for value, count in zip(values, counts) if value},
        hashlib.sha256(np.ascontiguousarray(channels).data).hexdigest(),
    )


def _intensities(channel: np.ndarray) -> tuple[float, ...]:
    inside = channel[np.isfinite(channel) & (channel != 0)]
    if not len(inside):
        return (0.0,) * len(_PERCENTILES)
    return tuple(float(value) for value in np.percentile(inside, _PERCENTILES))
