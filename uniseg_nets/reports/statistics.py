"""Volumes and intensities of the classes in a label map."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from uniseg_nets.transforms.grid import touches_border, voxel_millilitres

__all__ = ["label_statistics"]


def label_statistics(
    label: NDArray[Any], image: NDArray[Any], spacing: ArrayLike, names: Mapping[int, str]
) -> list[dict[str, Any]]:
    """One row per class: its volume, its intensities and its status.

    Mean and standard deviation are taken over voxels with a finite value. ``status`` is ``present``; ``truncated``,
    where the class touches the border of the scan, so that its volume is a lower bound; or ``absent``.

    Args:
        label: (x, y, z).
        image: (x, y, z), the channel to measure, in its own unit.
        spacing: (x, y, z) mm; or (3, 3), whose columns are the voxel edges in mm, as in an affine.
        names: value -> class, without the background.

    Raises:
        ValueError: if label map and image have different sizes.
    """
    if label.shape != image.shape:
        raise ValueError(f"label map has size {label.shape}, its scan {image.shape}")
    millilitres = voxel_millilitres(spacing)
    rows = []
    for value, name in names.items():
        mask = label == value
        voxels = int(mask.sum())
        inside = image[mask]
        inside = inside[np.isfinite(inside)]
        rows.append(
            {
                "class": name,
                "value": value,
                "status": "absent" if not voxels else "truncated" if touches_border(label, value) else "present",
                "voxels": voxels,
                "volume_ml": round(voxels * millilitres, 3),
                "mean": round(float(inside.mean()), 3) if len(inside) else None,
                "std": round(float(inside.std()), 3) if len(inside) else None,
            }
        )
    return rows
