"""The fingerprint of a labelled case: geometry, intensities and label counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from uniseg_nets.data.copies import voxel_digest
from uniseg_nets.transforms.grid import Grid, bounding_box, same_grid
from uniseg_nets.transforms.labels import load_label_map
from uniseg_nets.transforms.load import LoadCase

__all__ = ["CaseFingerprint", "extract_fingerprint"]

_PERCENTILES = (0, 1, 50, 99, 100)
_FOREGROUND = 10_000  # voxels per case


@dataclass(frozen=True, eq=False)
class CaseFingerprint:
    """The properties of a case.

    Attributes:
        name: name of the case.
        file_shape: (x, y, z) voxels as stored.
        affine: (4, 4), stored voxel -> RAS+ mm.
        crop: (x, y, z) voxels of the box around non-zero voxels; NaN counts as 0.
        intensities: minimum, 1st, 50th and 99th percentile and maximum over non-zero voxels, per channel.
        foreground: (channel, voxel), intensities of at most 10,000 labelled voxels, evenly spread.
        voxels: label value -> number of voxels, without 0.
        digest: hash of the image's voxels, equal for copies.
    """

    name: str
    file_shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    crop: tuple[int, int, int]
    intensities: tuple[tuple[float, ...], ...]
    foreground: NDArray[np.float32]
    voxels: dict[int, int]
    digest: str

    def grid(self, axes: str, target_spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Grid:
        """The case's grid, (z, y, x) in the given order of axes.

        In ``acquisition`` order, the target spacing determines from which ratio a scan counts as a stack.
        """
        return Grid(self.file_shape, self.affine, target_spacing, axes=axes)

    def extent(self, grid: Grid) -> NDArray[np.float64]:
        """(z, y, x) size in mm of the box around non-zero voxels, in the grid's order of axes."""
        return np.asarray(self.crop)[grid.order] * grid.spacing

    @property
    def crop_share(self) -> float:
        """The volume of the box around non-zero voxels, relative to the whole scan."""
        return float(np.prod(self.crop) / np.prod(self.file_shape))


def extract_fingerprint(case: Mapping[str, Any]) -> CaseFingerprint:
    """Reads a case and computes its fingerprint.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a file cannot be read, image and label map have different grids, the label map has several
            channels or values that are not whole numbers from 0 to 255, or the image has only zeros and non-finite
            values; the message names the file.
    """
    image, label = LoadCase()(case["image"]), load_label_map(case["label"])
    affine = image.affine.numpy()
    shape = tuple(image.shape[1:])
    if label.shape[1:] != image.shape[1:] or not same_grid(label.affine, affine, shape):
        raise ValueError(
            f"{case['label']} lies on another grid (size {tuple(label.shape[1:])}, affine "
            f"{np.round(label.affine.numpy(), 3).tolist()}) than {case['image'][0]} (size {shape}, affine "
            f"{np.round(affine, 3).tolist()}): resample one to the other"
        )
    # (z, y, x) is the memory layout of NIfTI voxels: nothing below has to copy them.
    channels, labels = (volume.numpy().transpose(0, 3, 2, 1) for volume in (image, label))
    values, counts = np.unique(labels, return_counts=True)
    box = bounding_box(torch.from_numpy(((channels != 0) & np.isfinite(channels)).any(axis=0)))
    if box is None:
        raise ValueError(f"{case['image'][0]} has only zeros and non-finite values")
    z, y, x = (stop - start for start, stop in zip(*box))
    return CaseFingerprint(
        case["name"],
        (shape[0], shape[1], shape[2]),
        affine,
        (x, y, z),
        tuple(_intensities(channel) for channel in channels),
        _foreground(channels, labels[0]),
        {int(value): int(count) for value, count in zip(values, counts) if value},
        voxel_digest(channels),
    )


def _foreground(channels: NDArray[np.float32], label: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(C, z, y, x) and (z, y, x) -> (C, voxel)."""
    voxels = np.flatnonzero(label)
    picked = voxels[np.linspace(0, len(voxels) - 1, min(len(voxels), _FOREGROUND)).astype(int)]
    values = np.stack([channel.ravel()[picked] for channel in channels])
    return values[:, np.isfinite(values).all(axis=0)]


def _intensities(channel: np.ndarray) -> tuple[float, ...]:
    inside = channel[np.isfinite(channel) & (channel != 0)]
    if not len(inside):
        return (0.0,) * len(_PERCENTILES)
    return tuple(float(value) for value in np.percentile(inside, _PERCENTILES))
