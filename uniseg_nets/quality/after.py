"""Measures a label map: the volume, number of pieces and position of each class, and whether it is truncated."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from uniseg_nets.tasks import Task
from uniseg_nets.transforms.grid import touches_border, voxel_millilitres

__all__ = ["label_measures"]

_AXES = "zyx"


def label_measures(label: NDArray[np.uint8], spacing: tuple[float, ...], task: Task) -> dict[str, float]:
    """Measures a label map on the network's grid.

    Args:
        label: (z, y, x), the task's own values 1, 2, ...
        spacing: (z, y, x) mm.
        task: names the classes.

    Returns:
        For each class ``CLASS.volume_ml``. If the class was found, also ``CLASS.largest_share`` (the share of its
        largest piece), ``CLASS.at_z``, ``at_y``, ``at_x`` (its centre, 0..1 of the scan),
        ``CLASS.width_z``, ``width_y``, ``width_x`` (standard deviation of its voxels from the centre, mm) and
        ``CLASS.truncated`` (1 if it reaches the border of the scan, else 0).
    """
    millilitres = voxel_millilitres(spacing)
    measures: dict[str, float] = {}
    boxes = ndimage.find_objects(label, max_label=len(task.classes))
    for value, name in enumerate(task.classes, start=1):
        box = boxes[value - 1]
        if box is None:
            measures[f"{name}.volume_ml"] = 0.0
            continue
        mask = label[box] == value
        voxels = int(mask.sum())
        sizes = np.bincount(ndimage.label(mask)[0].ravel())[1:] / voxels
        measures[f"{name}.volume_ml"] = voxels * millilitres
        measures[f"{name}.largest_share"] = float(sizes.max())
        for axis, letter in enumerate(_AXES):
            along = mask.sum(axis=tuple(other for other in range(3) if other != axis))
            places = np.arange(len(along))
            middle = float(np.average(places, weights=along))
            measures[f"{name}.at_{letter}"] = (box[axis].start + middle + 0.5) / label.shape[axis]
            spread = float(np.sqrt(np.average((places - middle) ** 2, weights=along)))
            measures[f"{name}.width_{letter}"] = spread * spacing[axis]
        measures[f"{name}.truncated"] = float(touches_border(label, value))
    return measures
