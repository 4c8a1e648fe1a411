"""Reduces a scan and its label map for a page: cropped around the classes, with larger voxels, in 8 bits."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike

import nibabel as nib
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import find_objects
from torch.nn.functional import adaptive_avg_pool3d, interpolate

from uniseg_nets.io.files import atomic_path
from uniseg_nets.reports.views import Views

__all__ = ["PAGE_VOXELS", "Reduced", "reduced"]

PAGE_VOXELS = 300_000  # of a case on a page: 50 cases stay below 25 MB, even those of noise
_MARGIN = 40.0  # mm around the classes


@dataclass(frozen=True)
class Reduced:
    """A reduced case, axes (x, y, z) towards right, anterior, superior.

    Attributes:
        scan: (x, y, z), uint8; intensities by the header's slope.
        labels: (x, y, z), uint8.
        centre: (x, y, z), from 0 to 1: where the planes with most foreground meet.
    """

    scan: nib.Nifti1Image
    labels: nib.Nifti1Image
    centre: tuple[float, float, float]

    def write(self, scan: str | PathLike[str], labels: str | PathLike[str]) -> None:
        """Writes the two images as NIfTI."""
        for image, path in ((self.scan, scan), (self.labels, labels)):
            with atomic_path(path) as temporary:
                nib.save(image, temporary)


def reduced(views: Views, voxels: int = PAGE_VOXELS) -> Reduced:
    """Resamples the scan (by averaging) and the label map (nearest voxels) to one coarser grid.

    A scan with too many voxels is cropped to its classes with a margin of 40 mm. Then the voxels become larger, along
    the axes with the smallest spacing first.

    Args:
        views: scan and label map.
        voxels: maximum number of voxels of the result.
    """
    spacing = np.asarray(views.spacing)
    box = _box(views) if views.label.size > voxels else (slice(None),) * 3
    image, label = views.image[box], views.label[box]
    extent = spacing * image.shape
    shape = _shape(extent, spacing, voxels)
    scan = adaptive_avg_pool3d(torch.as_tensor(np.ascontiguousarray(image, np.float32))[None], shape)[0].numpy()
    nearest = interpolate(torch.as_tensor(np.ascontiguousarray(label))[None, None], shape, mode="nearest-exact")
    low, high = np.percentile(scan, (0.1, 99.9))
    slope = float(max(high - low, 1e-6)) / 255
    grey = ((scan - low) / slope).clip(0, 255).round().astype(np.uint8)
    affine = np.diag([*extent / shape, 1])
    affine[:3, 3] = -extent / 2
    picture = nib.Nifti1Image(grey, affine)
    picture.header.set_slope_inter(slope, float(low))
    small = Views(scan, nearest[0, 0].numpy(), tuple(extent / shape), views.names)
    x, y, z = ((small.middle(axis) + 0.5) / shape[axis] for axis in range(3))
    return Reduced(picture, nib.Nifti1Image(small.label, affine), (x, y, z))


def _box(views: Views) -> tuple[slice, ...]:
    """The box of the classes with a margin; the whole scan without classes."""
    boxes = find_objects((views.label > 0).astype(np.uint8))
    if not boxes:
        return (slice(None),) * 3
    margins = [round(_MARGIN / edge) for edge in views.spacing]
    return tuple(slice(max(0, part.start - margin), part.stop + margin) for part, margin in zip(boxes[0], margins))


def _shape(extent: NDArray[np.float64], spacing: NDArray[np.float64], voxels: int) -> tuple[int, int, int]:
    """The number of voxels per axis: unchanged, or that of the smallest voxel edge that gives few enough voxels."""
    edge = float(spacing.min())
    while True:
        x, y, z = (max(1, round(float(count))) for count in extent / np.maximum(edge, spacing))
        if x * y * z <= voxels:
            return x, y, z
        edge *= 1.02
