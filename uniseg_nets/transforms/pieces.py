"""Keeps the largest connected components of a class, for organs of which a body has one or two."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

__all__ = ["keep_largest_pieces"]

_TOUCHING = np.ones((3, 3, 3), dtype=bool)  # voxels that share a corner are connected


def keep_largest_pieces(label_map: Tensor, most: Mapping[int, int]) -> Tensor:
    """Removes all but the largest connected components of some label values.

    Not MONAI's ``KeepLargestConnectedComponent``, which needs scikit-image and takes one number for all values.

    Args:
        label_map: (z, y, x) integers.
        most: label value -> number of components to keep, the largest by their voxels; 0 for all.

    Returns:
        A label map (z, y, x) of the same type, with background in place of smaller components; the same object if
        nothing was removed.
    """
    values = label_map.cpu().numpy()
    removed = np.zeros(values.shape, dtype=bool)
    for value, count in most.items():
        boxes = ndimage.find_objects((values == value).astype(np.uint8))
        if not count or not boxes:
            continue
        inside = boxes[0]
        pieces, total = ndimage.label(values[inside] == value, structure=_TOUCHING)
        if total > count:
            sizes = np.bincount(pieces.ravel())[1:]
            smaller = np.argsort(sizes, kind="stable")[: total - count] + 1
            removed[inside] |= np.isin(pieces, smaller)
    if not removed.any():
        return label_map
    return torch.where(torch.from_numpy(removed).to(label_map.device), torch.zeros_like(label_map), label_map)
