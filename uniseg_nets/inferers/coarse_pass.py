"""Finds the boxes of the tasks' structures at a coarser scale, so that windows cover these boxes alone.

The scan is downsampled and computed up to the coarse head of deep supervision. Each task gets the box around the
foreground of that head. Boxes are joined if that saves work: tasks of one box share its encoder passes.

Shapes: B batch, C channels, (D, H, W) the volume's size in (z, y, x).
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from uniseg_nets.inferers.windows import all_starts, pad_to, window_at
from uniseg_nets.nets.steps import NetworkSteps, encoded_for
from uniseg_nets.nets.unet import STRIDES
from uniseg_nets.tasks import Task

__all__ = ["Region", "find_boxes", "find_regions", "join_boxes", "whole_region"]

logger = logging.getLogger(__name__)

# Multiplications of the encoder, and of a decoder's first three levels, relative to a whole decoder (full size).
_ENCODER, _COARSE = 0.36, 0.28
# Voxels (z, y, x) per voxel of the coarse head.
_STRIDE = np.prod(STRIDES[:3], axis=0)
# Overlap of the coarse windows; further downsampling that is accepted if one window then covers the scan.
_OVERLAP, _STRETCH = 0.25, 1.1
# Probability threshold of structures, low because nothing corrects a miss; margin around them in coarse voxels.
_FOREGROUND, _MARGIN = 0.2, 1

Box = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Region:
    """A box of the volume and the tasks that are computed there.

    Attributes:
        tasks: indices in the list of tasks.
        box: first voxel and the one after the last, along z, y and x.
        hull: the box that the windows cover, at least as large as ``box`` and a window.
        starts: first voxels (z, y, x) of the windows, relative to the hull.
    """

    tasks: tuple[int, ...]
    box: Box
    hull: tuple[slice, ...]
    starts: tuple[tuple[int, ...], ...]

    @property
    def cost(self) -> float:
        return len(self.starts) * (_ENCODER + len(self.tasks))


def whole_region(size: Sequence[int], tasks: int, roi_size: Sequence[int], overlap: float) -> Region:
    """The region of the whole volume (D, H, W) for all tasks. The volume is at least as large as a window."""
    return _region(tuple(range(tasks)), tuple((0, n) for n in size), size, roi_size, overlap)


def find_regions(
    volume: Tensor,
    network: NetworkSteps,
    tasks: Sequence[Task],
    roi_size: Sequence[int],
    overlap: float,
    scale: float,
) -> list[Region]:
    """The regions of a volume to compute; the whole volume if a coarse pass cannot save work.

    Args:
        volume, network, tasks, roi_size, scale: as for :func:`find_boxes`.
        overlap: as for :func:`join_boxes`.
    """
    size, count = volume.shape[2:], len(tasks)
    everything = whole_region(size, count, roi_size, overlap)
    coarse_windows = len(all_starts(_coarse_size(size, roi_size, scale), roi_size, _OVERLAP))
    if coarse_windows * (_ENCODER + _COARSE * count) + _ENCODER + count >= everything.cost:
        return [everything]
    boxes = find_boxes(volume, network, tasks, roi_size, scale)
    absent = [task.name for task, box in zip(tasks, boxes) if box is None]
    if absent:
        logger.info("the coarse pass finds nothing of %s: background, without a closer look", ", ".join(absent))
    return join_boxes(boxes, size, roi_size, overlap)


def _coarse_size(size: Sequence[int], roi_size: Sequence[int], scale: float) -> list[int]:
    wanted = [max(round(n / scale), 1) for n in size]
    return [roi if roi < n <= _STRETCH * roi else n for n, roi in zip(wanted, roi_size)]


def find_boxes(
    volume: Tensor,
    network: NetworkSteps,
    tasks: Sequence[Task],
    roi_size: Sequence[int],
    scale: float,
) -> list[Box | None]:
    """The box of each task's structures, padded by one coarse voxel.

    Args:
        volume: (B, C, D, H, W), at least as large as a window.
        network: the network, or its runtime.
        tasks: the tasks.
        roi_size: window (z, y, x).
        scale: downsampling factor; up to a tenth more if that saves windows.

    Returns:
        One box per task, ``None`` if it has no structure.
    """
    size = np.array(volume.shape[2:])
    small = F.interpolate(volume, size=_coarse_size(volume.shape[2:], roi_size, scale), mode="trilinear")
    padded = pad_to(small, roi_size)
    before = (np.array(padded.shape[2:]) - np.array(small.shape[2:])) // 2
    scales = size / np.array(small.shape[2:])
    corners_of: list[list[Any]] = [[] for _ in tasks]
    for start in all_starts(padded.shape[2:], roi_size, _OVERLAP):
        features = encoded_for(len(tasks), network, padded[window_at(start, roi_size)])
        prompts = network.prompts(features)
        for corners, task in zip(corners_of, tasks):
            _, logits = network.decode_coarse(features, network.select(prompts, task.id))
            probability = torch.softmax(logits.float(), dim=1)[:, 1 : task.num_outputs].amax((0, 1))
            # NaN counts as structure: the full windows then report it.
            voxels = (~(probability < _FOREGROUND)).nonzero().cpu().numpy()
            if len(voxels):
                edges = np.array([voxels.min(0) - _MARGIN, voxels.max(0) + 1 + _MARGIN])
                corners.append((edges * _STRIDE + start - before) * scales)
    return [_around(corners, size) for corners in corners_of]


def _around(corners: Sequence[Any], size: Any) -> Box | None:
    """The box of whole voxels around all corners, clipped to the volume."""
    if not corners:
        return None
    points = np.concatenate(corners)
    low = np.floor(points.min(0)).clip(0, size - 1).astype(int)
    high = np.ceil(points.max(0)).clip(low + 1, size).astype(int)
    return tuple(zip(low.tolist(), high.tolist()))


def join_boxes(
    boxes: Sequence[Box | None], size: Sequence[int], roi_size: Sequence[int], overlap: float
) -> list[Region]:
    """Joins boxes to regions that need the least work. Tasks without a box are in no region.

    Args:
        boxes: one per task.
        size: size (z, y, x) of the volume.
        roi_size: window (z, y, x).
        overlap: minimum overlap of neighbouring windows, as a fraction of a window.
    """
    regions = [_region((i,), box, size, roi_size, overlap) for i, box in enumerate(boxes) if box is not None]
    while len(regions) > 1:
        pairs = list(itertools.combinations(regions, 2))
        unions = []
        for one, other in pairs:
            box = tuple((min(a, c), max(b, d)) for (a, b), (c, d) in zip(one.box, other.box))
            unions.append(_region((*one.tasks, *other.tasks), box, size, roi_size, overlap))
        saved = [one.cost + other.cost - both.cost for (one, other), both in zip(pairs, unions)]
        best = int(np.argmax(saved))
        if saved[best] <= 0:
            break
        regions = [region for region in regions if region not in pairs[best]] + [unions[best]]
    return regions


def _region(tasks: tuple[int, ...], box: Box, size: Sequence[int], roi_size: Sequence[int], overlap: float) -> Region:
    """Windows over a box. If the box is smaller than a window, the window is centred on it as far as possible."""
    hull = []
    for (low, high), n, roi in zip(box, size, roi_size):
        extent = max(high - low, roi)
        first = min(max((low + high - extent) // 2, 0), n - extent)
        hull.append(slice(first, first + extent))
    return Region(tasks, box, tuple(hull), all_starts([edge.stop - edge.start for edge in hull], roi_size, overlap))
