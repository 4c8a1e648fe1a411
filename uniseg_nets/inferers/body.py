"""The box around the body in a CT. Air, clothes and the table cost as much to segment as organs, and hold none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage
from torch import Tensor

from uniseg_nets.tasks import Scaling

__all__ = ["body_box"]

# In Hounsfield units: below fat, above air and most of the table.
_THRESHOLD = -195.0
# The mask is computed on the volume subsampled by 4; the box is padded by 4 voxels.
_STEP = 4


def body_box(channel: Tensor, scaling: Scaling, least: Sequence[int] = (1, 1, 1)) -> tuple[slice, slice, slice]:
    """The box around the largest connected body in a preprocessed CT channel.

    A binary opening first removes thin structures, such as the table's surface.

    Args:
        channel: (z, y, x), scaled intensities.
        scaling: how they were scaled from Hounsfield units.
        least: size (z, y, x) of the box at least, such as a window's: what a window sees of the scan around the body
            is then air and not padding. The whole axis if the volume is smaller.

    Returns:
        Slices along z, y and x; the whole volume if there is no body.
    """
    mask = channel[::_STEP, ::_STEP, ::_STEP].cpu().numpy() > scaling.scaled(_THRESHOLD)
    mask = ndimage.binary_opening(np.pad(mask, 1, mode="edge"), iterations=1)[1:-1, 1:-1, 1:-1]
    labels, count = ndimage.label(mask)
    if not count:
        return slice(0, channel.shape[0]), slice(0, channel.shape[1]), slice(0, channel.shape[2])
    largest = int(np.argmax(np.bincount(labels.ravel())[1:]))
    box = ndimage.find_objects(labels)[largest]
    z, y, x = (
        _widened(max(edge.start * _STEP - _STEP, 0), min(edge.stop * _STEP + _STEP, size), size, extent)
        for edge, size, extent in zip(box, channel.shape, least)
    )
    return z, y, x


def _widened(start: int, stop: int, size: int, least: int) -> slice:
    """An edge of at least a length, with its centre where it was as far as the volume allows."""
    extent = min(max(stop - start, least), size)
    first = min(max((start + stop - extent) // 2, 0), size - extent)
    return slice(first, first + extent)
