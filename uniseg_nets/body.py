"""Where the body lies in a CT: air, clothes and the table cost as much to segment as organs, and hold none."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from torch import Tensor

__all__ = ["body_box"]

# Of the scaled window -325..325 HU: -195 HU, below fat and above most of what is no body.
_THRESHOLD = 0.2
# The mask is found on every so many-th voxel, and the box is wider than it by as much.
_STEP = 4


def body_box(channel: Tensor) -> tuple[slice, slice, slice]:
    """The box around the largest connected body in a preprocessed CT channel (z, y, x); all of it where none shows.

    Thin things, such as the table's surface, are opened away before.
    """
    mask = channel[::_STEP, ::_STEP, ::_STEP].cpu().numpy() > _THRESHOLD
    mask = ndimage.binary_opening(np.pad(mask, 1, mode="edge"), iterations=1)[1:-1, 1:-1, 1:-1]
    labels, count = ndimage.label(mask)
    if not count:
        return slice(0, channel.shape[0]), slice(0, channel.shape[1]), slice(0, channel.shape[2])
    largest = int(np.argmax(np.bincount(labels.ravel())[1:]))
    found = ndimage.find_objects(labels)[largest]
    z, y, x = (
        slice(max(edge.start * _STEP - _STEP, 0), min(edge.stop * _STEP + _STEP, size))
        for edge, size in zip(found, channel.shape)
    )
    return z, y, x
