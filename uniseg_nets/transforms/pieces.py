"""Keeping the largest connected pieces of a class, for organs of which a body has one or two."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

__all__ = ["keep_largest_pieces"]

_TOUCHING = np.ones((3, 3, 3), dtype=bool)  # voxels that share a corner


def keep_largest_pieces(label_map: Tensor, most: Mapping[int, int]) -> Tensor:
    """The label map without what lies apart from the largest connected pieces of some values.

    Not MONAI's ``KeepLargestConnectedComponent``, which needs scikit-image and takes one number for all values.

    Args:
        label_map: (z, y, x) integers.
        most: label value -> number of pieces that stay, the largest by their voxels; 0 for all.

    Returns:
        A label map of the same shape and type, background where smaller pieces were; the same object if nothing was
        removed.
    """
    values = label_map.cpu().numpy()
    removed = np.zeros(values.shape, dtype=bool)
    for value, count in most.items():
        found = ndimage.find_objects((values == value).astype(np.uint8))
        if not count or not found:
            continue
        inside = found[0]  # the box around the value: the rest needs no search
        pieces, total = ndimage.label(values[inside] == value, structure=_TOUCHING)
        if total > count:
            sizes = np.bincount(pieces.ravel())[1:]
            smaller = np.argsort(sizes, kind="stable")[: total - count] + 1
            removed[inside] |= np.isin(pieces, smaller)
    if not removed.any():
        return label_map
    return torch.where(torch.from_numpy(removed).to(label_map.device), torch.zeros_like(label_map), label_map)
