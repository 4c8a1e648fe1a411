"""Training patches, a share of them around foreground.

Not MONAI's ``RandCropByPosNegLabeld``, which wants the index of every voxel, nor ``RandCropByLabelClassesd``, whose
share of foreground depends on how many classes a case has: the official recipe forces a third of the patches onto a
voxel of a class drawn among those that are there, and leaves the others to chance.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Randomizable, SpatialCrop
from torch import Tensor

__all__ = ["ForegroundVoxelsd", "RandForegroundCropd"]


class ForegroundVoxelsd(MapTransform):
    """Keeps voxels of each class for :class:`RandForegroundCropd`: ``foreground``, int32 (N, 4), class and (z, y, x).

    Args:
        keys: the label's key.
        samples: at most so many voxels a class, spread evenly over it.
    """

    def __init__(self, keys: KeysCollection, samples: int = 2000) -> None:
        super().__init__(keys)
        self.samples = samples

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        label = d[self.keys[0]][0]
        found = [torch.zeros(0, 4, dtype=torch.int32)]
        for value in label.unique().tolist():
            if value:
                voxels = torch.nonzero(torch.as_tensor(label == value))
                picked = voxels[torch.linspace(0, len(voxels) - 1, min(len(voxels), self.samples)).long()]
                found.append(torch.cat((torch.full((len(picked), 1), int(value)), picked), dim=1).int())
        d["foreground"] = torch.cat(found)
        return d


class RandForegroundCropd(Randomizable, MapTransform):
    """Crops one patch: with a given probability around a voxel of a random class, else anywhere.

    Cases without foreground give patches from anywhere. Volumes must be at least as large as the patch.

    Args:
        keys: image and label.
        patch_size: (z, y, x).
        foreground_share: probability that a voxel of foreground lies in the middle, as far as borders allow.
    """

    def __init__(self, keys: KeysCollection, patch_size: Sequence[int], foreground_share: float = 1 / 3) -> None:
        super().__init__(keys)
        self.patch_size = np.asarray(patch_size)
        self.foreground_share = foreground_share
        self.start = np.zeros(3, dtype=int)

    def randomize(self, data: Mapping[Hashable, Any]) -> None:
        room = np.asarray(data[self.keys[0]].shape[1:]) - self.patch_size
        self.start = self.R.randint(0, room + 1)
        foreground: Tensor = data["foreground"]
        if len(foreground) and self.R.random() < self.foreground_share:
            value = self.R.choice(foreground[:, 0].unique().numpy())
            of_class = foreground[foreground[:, 0] == value, 1:]
            middle = of_class[self.R.randint(len(of_class))].numpy()
            self.start = np.clip(middle - self.patch_size // 2, 0, room)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        self.randomize(d)
        crop = SpatialCrop(roi_start=self.start, roi_end=self.start + self.patch_size)
        for key in self.key_iterator(d):
            d[key] = crop(d[key])
        del d["foreground"]
        return d
