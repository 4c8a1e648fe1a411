"""From a loaded case to the network's input: orientation, crop, resampling, intensities.

The one rule: training, evaluation and inference use this class, so that they cannot differ. It does what the official
release does (nnU-Net v1's preprocessing), after a change of files to one orientation.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils.enums import MetaKeys
from scipy import ndimage
from torch import Tensor

from uniseg_nets.tasks import Scaling, Task, TaskTable
from uniseg_nets.transforms.grid import Grid, bounding_box, coarse_axis, same_grid
from uniseg_nets.transforms.labels import as_label_map
from uniseg_nets.transforms.resample import resample_image, resample_labels

__all__ = ["CROP_START", "CROP_STOP", "PreprocessCased", "grid_of"]

logger = logging.getLogger(__name__)

# Keys of the crop in the image's metadata.
CROP_START, CROP_STOP = "crop_start", "crop_stop"
_AIR = -1000.0  # Hounsfield units


class PreprocessCased(MapTransform):
    """(C, x, y, z) as stored -> (C, z, y, x) at the task's spacing, cropped to non-zero, intensities scaled.

    Axes, spacing and scaling are the task's (:class:`~uniseg_nets.tasks.Task`).

    The image's metadata hold the file's affine and size and the crop, from which :func:`grid_of` restores the grid. A
    label map is resampled with its image. NaN and infinite voxels are cropped like zeros; within the crop they are air
    in CT, where 0 is water, and 0 in other images.

    Args:
        keys: key of the image, then keys of label maps.
        tasks: the task table.
        task: task name or id of all cases; ``None`` for the ``task`` of each case.
        training_mask: compute z-scores from the non-zero voxels also for tasks that do so in training alone.

    Raises:
        ValueError: if the channel count is not the task's, the image has no voxel, no volume or no non-zero value, or
            a label map has another grid than its image, several channels, or values that are not whole numbers from 0
            to 255. The message names the file.
    """

    def __init__(
        self,
        keys: KeysCollection,
        tasks: TaskTable,
        task: str | int | Sequence[str] | None = None,
        allow_missing_keys: bool = False,
        training_mask: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.tasks = tasks
        self.training_mask = training_mask
        self.task = None if task is None else tasks.select(task)[0]

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        task = self.task or self.tasks.one(d["task"])
        image_key, *label_keys = self.key_iterator(d)
        image: MetaTensor = d[image_key]
        name = image.meta.get("filename_or_obj") or "image"
        try:
            _check_channels(image, task)
            d[image_key], grid = self._image(image, task, name)
            for key in label_keys:
                d[key] = _label(d[key], grid)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        return d

    def _image(self, image: MetaTensor, task: Task, name: str) -> tuple[MetaTensor, Grid]:
        affine = np.asarray(image.meta[MetaKeys.ORIGINAL_AFFINE], dtype=np.float64)
        shape = tuple(int(n) for n in image.shape[1:])
        grid = Grid((shape[0], shape[1], shape[2]), affine, task.spacing, axes=task.axes)
        stored = grid.from_file(image.as_tensor())
        volume = _without_nan(stored, name)
        box = bounding_box((volume != 0).any(dim=0))
        if box is None:
            raise ValueError("holds no non-zero voxel: nothing to segment")
        grid = Grid(grid.file_shape, affine, task.spacing, *box, axes=task.axes)
        lacking = None if volume is stored else stored[(slice(None), *grid.box)].isfinite().logical_not()
        volume = volume[(slice(None), *grid.box)].contiguous()
        _warn_unless_hounsfield(volume, task, name)
        _warn_of_other_slices(grid, task, name)
        masked = task.mask == "always" or (self.training_mask and task.mask == "training")
        inside = _non_zero(volume, grid) if masked else None
        if lacking is not None:
            _air_for_nan_(volume, lacking, task)
        volume = resample_image(volume, grid.shape, grid.coarse_axis)
        if volume.untyped_storage().data_ptr() == image.untyped_storage().data_ptr():
            volume = volume.clone()  # the caller's array is not changed
        for channel, scaling in zip(volume, task.scaling):
            scale_intensity_(channel, scaling, inside)
        result = _on_grid(volume, grid, image)
        result.meta.update({CROP_START: np.asarray(box[0]), CROP_STOP: np.asarray(box[1])})
        return result, grid


def grid_of(image: MetaTensor, task: Task) -> Grid:
    """The grid of a preprocessed image, from its metadata."""
    shape = [int(n) for n in image.meta[MetaKeys.SPATIAL_SHAPE]]
    return Grid(
        (shape[0], shape[1], shape[2]),
        np.asarray(image.meta[MetaKeys.ORIGINAL_AFFINE], dtype=np.float64),
        task.spacing,
        tuple(int(n) for n in image.meta[CROP_START]),
        tuple(int(n) for n in image.meta[CROP_STOP]),
        task.axes,
    )


def scale_intensity_(channel: Tensor, scaling: Scaling, inside: Tensor | None = None) -> None:
    """Scales one channel (z, y, x) in place.

    Args:
        channel: (z, y, x), float.
        scaling: the scaling.
        inside: (z, y, x), bool, the voxels from which z-scores are computed; the others become 0.
    """
    if scaling.scheme == "window":
        channel.clamp_(scaling.low, scaling.high).sub_(scaling.low).div_(scaling.high - scaling.low)
    elif scaling.scheme == "percentiles":
        channel.clamp_(scaling.low, scaling.high).sub_(scaling.mean).div_(scaling.std)
    elif inside is None or not inside.any():
        std, mean = torch.std_mean(channel, correction=0)
        channel.sub_(mean).div_(std + 1e-8)
    else:
        std, mean = torch.std_mean(channel[inside], correction=0)
        channel.sub_(mean).div_(std + 1e-8).mul_(inside)


def _non_zero(volume: Tensor, grid: Grid) -> Tensor:
    """Non-zero voxels of any channel, with holes filled, on the network's grid: (C, z, y, x) -> bool (z, y, x)."""
    mask = ndimage.binary_fill_holes((volume != 0).any(dim=0).numpy())
    return resample_labels(torch.from_numpy(mask.astype(np.uint8)), grid.shape, grid.coarse_axis).bool()


def _check_channels(image: MetaTensor, task: Task) -> None:
    expected = len(task.channels)
    if image.shape[0] != expected:
        naming = ", ".join(f"_{i:04d} {modality}" for i, modality in enumerate(task.channels))
        raise ValueError(
            f"has {image.shape[0]} channel(s), task {task.name!r} reads {expected}: give {naming}, in this order "
            "(one file per channel, or one 4D file)"
        )


def _without_nan(volume: Tensor, name: str) -> Tensor:
    if torch.isfinite(volume.sum()):  # one NaN or infinite voxel would make it non-finite
        return volume
    bad = int((~torch.isfinite(volume)).sum())
    if bad == volume.numel():
        raise ValueError("holds no finite voxel, all are NaN or infinite: export the scan again")
    if bad:
        logger.warning(
            "%s: %d of %d voxels are NaN or infinite: set to 0, in CT to %g HU", name, bad, volume.numel(), _AIR
        )
        volume = torch.nan_to_num(volume, nan=0.0, posinf=0.0, neginf=0.0)
    return volume


def _air_for_nan_(volume: Tensor, lacking: Tensor, task: Task) -> None:
    """Makes those voxels of CT channels air that had no finite value: (C, z, y, x), and bool of this shape."""
    for channel, gone, modality in zip(volume, lacking, task.channels):
        if modality.upper() == "CT":
            channel[gone] = _AIR


def _warn_unless_hounsfield(volume: Tensor, task: Task, name: str) -> None:
    for channel, modality in zip(volume, task.channels):
        low, high = float(channel.min()), float(channel.max())
        if modality.upper() == "CT" and (low >= 0 or high - low < 10):
            logger.warning(
                "%s: the CT channel spans %g..%g: these are not Hounsfield units (air -1000, water 0); "
                "results will be wrong unless the values are converted",
                name,
                low,
                high,
            )


def _warn_of_other_slices(grid: Grid, task: Task, name: str) -> None:
    """Warns if the slices of a stack have another direction than those of the task's training."""
    slices = coarse_axis(grid.spacing)
    if task.anisotropic and slices is not None and slices != int(np.argmax(task.spacing)):
        axes = "zyx"
        logger.warning(
            "%s: its thick slices lie across %s, those of task %r across %s (%s order of axes): results will be poor; "
            "for slices in any direction the task needs `acquisition` order",
            name,
            axes[slices],
            task.name,
            axes[int(np.argmax(task.spacing))],
            task.axes,
        )


def _label(label: MetaTensor, grid: Grid) -> MetaTensor:
    affine = np.asarray(label.meta[MetaKeys.ORIGINAL_AFFINE], dtype=np.float64)
    if tuple(label.shape[1:]) != grid.file_shape or not same_grid(affine, grid.file_affine, grid.file_shape):
        raise ValueError(
            f"its label map {label.meta.get('filename_or_obj')} lies on another grid: size {tuple(label.shape[1:])} "
            f"and affine {affine.tolist()}, expected {grid.file_shape} and {grid.file_affine.tolist()}"
        )
    try:
        values = grid.from_file(as_label_map(label.as_tensor())[0])[grid.box]
    except ValueError as error:
        raise ValueError(f"its label map {label.meta.get('filename_or_obj')} {error}") from error
    volume = resample_labels(values, grid.shape, grid.coarse_axis)[None]
    return _on_grid(volume, grid, label)


def _on_grid(volume: Tensor, grid: Grid, source: MetaTensor) -> MetaTensor:
    """A resampled volume (C, z, y, x) in the network's direction, with the metadata of its source."""
    result = MetaTensor(
        volume.flip(grid.flips), meta={key: value for key, value in source.meta.items() if key != MetaKeys.AFFINE}
    )
    result.affine = torch.from_numpy(grid.affine)
    return result
