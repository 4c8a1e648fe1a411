"""Random training patches, a fraction of them on foreground, with rotation and zoom.

Not MONAI's ``RandCropByPosNegLabeld``, which needs the index of every voxel, nor ``RandCropByLabelClassesd``, whose
fraction of foreground depends on the number of classes in the case. Nor ``RandRotated`` and ``RandZoomd`` after a crop:
they leave corners empty and interpolate twice. The official loader reads a larger patch, transforms it and crops its
centre. Here the patch is sampled once from the volume, and only the needed part is read.

Shapes: C channels, (D, H, W) volume and (d, h, w) patch, axes (z, y, x).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Randomizable
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor
from torch.nn import functional as F

from uniseg_nets.tasks import ANISOTROPY, Task, TaskTable

__all__ = ["FORCE_FOREGROUND", "ForegroundVoxelsd", "RandPatchd"]

# Key of a case: whether the patch of this sample is placed on foreground.
FORCE_FOREGROUND = "force_foreground"


class ForegroundVoxelsd(MapTransform):
    """Adds ``foreground``, voxels of each class for :class:`RandPatchd`: int32 (N, 4), class and (z, y, x).

    Args:
        keys: key of the label map.
        samples: maximum number of voxels per class, evenly spread over it.
    """

    def __init__(self, keys: KeysCollection, samples: int = 2000) -> None:
        super().__init__(keys)
        self.samples = samples

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        label = d[self.keys[0]][0]
        chosen = [torch.zeros(0, 4, dtype=torch.int32)]
        for value in label.unique().tolist():
            if value:
                voxels = torch.nonzero(torch.as_tensor(label == value))
                picked = voxels[evenly_spread(len(voxels), min(len(voxels), self.samples))]
                chosen.append(torch.cat((torch.full((len(picked), 1), int(value)), picked), dim=1).int())
        d["foreground"] = torch.cat(chosen)
        return d


def evenly_spread(total: int, count: int) -> Tensor:
    """``count`` indices from the first to the last of ``total``. Above 2^24 float32 would miss the last one."""
    return torch.linspace(0, total - 1, count, dtype=torch.float64).long()


class RandPatchd(Randomizable, MapTransform):
    """One patch of image and label, (C, D, H, W) -> (C, d, h, w), in one interpolation (trilinear; label: nearest).

    The patch is at a random position inside the volume. If the case's ``force_foreground`` is true, its centre is on a
    voxel of a random class, as far as the borders allow. Rotation and zoom have the centre of the patch as their
    origin. They are restricted to the plane of the slices if voxels are anisotropic (the task's spacing) or the patch
    is flat, with a ratio of more than 3 (as in nnU-Net). Outside the volume the patch is 0, as in the official loader
    and in prediction.

    Args:
        keys: image and label.
        patch_size: (z, y, x). Volumes must be at least as large.
        tasks: the task table; each case has a ``task``.
        rotation_prob: probability of a rotation.
        max_angle: maximum angle about each axis, in degrees.
        zoom_prob: probability of a zoom.
        zoom_range: minimum and maximum extent of the sampled box, relative to that of the patch.
    """

    def __init__(
        self,
        keys: KeysCollection,
        patch_size: Sequence[int],
        tasks: TaskTable,
        rotation_prob: float = 0.2,
        max_angle: float = 30.0,
        zoom_prob: float = 0.2,
        zoom_range: Sequence[float] = (0.7, 1.4),
    ) -> None:
        super().__init__(keys)
        self.patch_size = np.asarray(patch_size)
        self.tasks = tasks
        self.rotation_prob = rotation_prob
        self.max_angle = max_angle
        self.zoom_prob = zoom_prob
        self.zoom_range = tuple(zoom_range)
        self.start = np.zeros(3, dtype=int)
        self.matrix = np.eye(3)

    def randomize(self, data: Mapping[Hashable, Any]) -> None:
        """Draws ``start``, the first voxel of the patch, and ``matrix``, from the patch's axes to the volume's."""
        room = np.asarray(data[self.keys[0]].shape[1:]) - self.patch_size
        self.start = self.R.randint(0, room + 1)
        foreground: Tensor = data["foreground"]
        if data.get(FORCE_FOREGROUND) and len(foreground):
            value = self.R.choice(foreground[:, 0].unique().numpy())
            of_class = foreground[foreground[:, 0] == value, 1:]
            middle = of_class[self.R.randint(len(of_class))].numpy()
            self.start = np.clip(middle - self.patch_size // 2, 0, room)
        self.matrix = self._draw_matrix(through_plane_axis(self.patch_size, self.tasks.one(data["task"])))

    def _draw_matrix(self, through_plane: int | None) -> NDArray[np.float64]:
        angles = np.zeros(3)
        if self.R.random() < self.rotation_prob:
            axes = range(3) if through_plane is None else (through_plane,)
            for axis in axes:
                angles[axis] = self.R.uniform(-self.max_angle, self.max_angle)
        extent = np.ones(3)
        if self.R.random() < self.zoom_prob:
            low, high = self.zoom_range
            # Shrinking and enlarging are equally likely, as in the official loader.
            extent[:] = self.R.uniform(low, 1) if self.R.random() < 0.5 else self.R.uniform(1, high)
            if through_plane is not None:
                extent[through_plane] = 1
        return Rotation.from_euler("xyz", angles, degrees=True).as_matrix() * extent

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        self.randomize(d)
        turned = not np.array_equal(self.matrix, np.eye(3))
        image, label = self.keys[:2]
        for key, mode in ((image, "bilinear"), (label, "nearest")):
            if turned:
                d[key] = _sample(d[key], self.start, self.patch_size, self.matrix, mode)
            else:
                d[key] = d[key][(slice(None), *map(slice, self.start, self.start + self.patch_size))]
        del d["foreground"]
        d.pop(FORCE_FOREGROUND, None)
        return d


def through_plane_axis(patch_size: NDArray[Any], task: Task) -> int | None:
    """The only rotation axis of a patch: across the slices, or across a flat patch; ``None`` for all axes."""
    if task.anisotropic:
        return int(np.argmax(task.spacing))
    return int(np.argmin(patch_size)) if patch_size.max() > ANISOTROPY * patch_size.min() else None


def _sample(volume: Tensor, start: NDArray[Any], size: NDArray[Any], matrix: NDArray[np.float64], mode: str) -> Tensor:
    """Samples a rotated patch, with 0 outside the volume: (C, D, H, W) -> (C, d, h, w).

    Args:
        start, size: first voxel and size of the patch before rotation.
        matrix: (3, 3), from steps along the patch's axes to steps along the volume's.
        mode: as for ``torch.nn.functional.grid_sample``.
    """
    half = (size - 1) / 2
    middle = start + half
    reach = np.abs(matrix) @ half + 1
    # Only the box that the patch needs is read from a memory-mapped volume.
    low = np.clip(np.floor(middle - reach).astype(int), 0, np.asarray(volume.shape[1:]) - 1)
    high = np.clip(np.ceil(middle + reach).astype(int) + 1, low + 1, volume.shape[1:])
    box = volume[(slice(None), *map(slice, low, high))].float()
    # Offsets from the patch's centre, scaled so that -1 and 1 are the centres of the box's outer voxels.
    to_unit = 2 / np.maximum(high - low - 1, 1)
    matrix, shift = matrix * to_unit[:, None], (middle - low) * to_unit - 1
    axes = [torch.arange(int(n)) - float(h) for n, h in zip(size, half)]
    steps = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    grid = steps @ torch.from_numpy(matrix.T).float() + torch.from_numpy(shift).float()
    patch = F.grid_sample(box[None], grid.flip(-1)[None], mode, "zeros", align_corners=True)[0]
    return patch.to(volume.dtype)
