"""Checks a labelled case, and rewrites its label map with the task's own values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from uniseg_nets.io.files import atomic_path
from uniseg_nets.prepare.find import Case
from uniseg_nets.transforms.grid import same_grid
from uniseg_nets.transforms.labels import load_label_map
from uniseg_nets.transforms.nifti import open_nifti

__all__ = ["Values", "has_foreground", "label_of_task", "size_of"]

# Label value in the file -> the task's own value. Other values are faults, but stay if the mapping is empty. None maps
# all foreground to 1.
Values = Mapping[int, int] | None


def has_foreground(case: Case, values: Values, channels: int, classes: int) -> bool:
    """Checks a case; returns whether it has any foreground.

    Args:
        case: files of the case.
        values: mapping of label values.
        channels: number of channels of the task.
        classes: number of classes of the task, without background.

    Raises:
        FileNotFoundError: if an image is missing.
        ValueError: if a file cannot be read, image and label map have different grids, the number of channels is
            another one, or a label value is not named or belongs to no class; the message names the file.
    """
    missing = [str(image) for image in case.images if not image.is_file()]
    if missing:
        raise FileNotFoundError(f"{case.label}: no image {', '.join(missing)}")
    label = load_label_map(case.label)
    count = 0
    for image in case.images:
        (of_image, *shape), affine = _opened(image)
        if shape != list(label.shape[1:]) or not same_grid(affine, label.affine, shape):
            raise ValueError(f"{image} (size {shape}) and {case.label} ({list(label.shape[1:])}) differ in grid")
        count += of_image
    if count != channels:
        raise ValueError(f"{case.images[0]}: {count} channels, the task reads {channels}")
    there = np.unique(label.numpy())
    unnamed = sorted(set(there.tolist()) - {0, *values}) if values else []
    if unnamed:
        raise ValueError(
            f"{case.label} holds values {unnamed}, expected 0 and {', '.join(map(str, sorted(values or ())))}: correct "
            "the label map, or name the values if they are classes (in the dataset.json of an nnU-Net folder)"
        )
    own = set(_mapped(there, values).tolist())
    if own - set(range(classes + 1)):
        raise ValueError(f"{case.label} holds values {there.tolist()}, the task has classes 1 to {classes}")
    return own != {0}


def size_of(images: Sequence[Path]) -> tuple[int, ...]:
    """Size (C, x, y, z) of a scan with one file per channel, or one for all, from the headers alone.

    Raises:
        ValueError: if a file cannot be read as NIfTI; the message names it.
    """
    sizes = [_opened(image)[0] for image in images]
    return (sum(channels for channels, *_ in sizes), *sizes[0][1:])


def _opened(image: Path) -> tuple[tuple[int, ...], NDArray[np.float64]]:
    """Size (C, x, y, z) and affine of a scan, from its header alone."""
    try:
        scan, affine = open_nifti(image)
        return _loaded_shape(scan.shape), affine
    except Exception as error:  # a damaged file can raise any error
        raise ValueError(f"cannot read {image} as a scan: {error}") from error


def _loaded_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """The size (C, x, y, z) that :class:`~uniseg_nets.transforms.LoadCase` makes of a file's."""
    size = list(shape)
    while len(size) > 4 and 1 in size[3:]:
        size.pop(3 + size[3:].index(1))
    if len(size) == 2:
        size.append(1)
    if len(size) not in (3, 4):
        raise ValueError(f"size {tuple(shape)}, expected (x, y, z) or (x, y, z, channel)")
    return (*(size[3:] or [1]), *size[:3])


def label_of_task(case: Case, values: Values, target: Path) -> Path:
    """The label file with the task's own values: that of the case if its values fit, else ``target``, newly written."""
    scan = cast(nib.Nifti1Image, nib.load(case.label))
    there = np.asarray(scan.dataobj)
    mapped = _mapped(np.rint(there), values)
    if np.array_equal(mapped, there):
        return case.label
    with atomic_path(target) as temporary:
        nib.save(nib.Nifti1Image(mapped.astype(np.uint8), None, scan.header), temporary)
    return target


def _mapped(there: np.ndarray, values: Values) -> np.ndarray:
    if values is None:
        return (there > 0).astype(np.uint8)
    mapped = there.copy()
    for old, new in values.items():
        mapped[there == old] = new
    return mapped
