"""What one labelled case must be, and its label map with the task's own values."""

from __future__ import annotations

from collections.abc import Mapping
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

__all__ = ["Values", "has_foreground", "label_of_task"]

# Label value in the file -> the task's own, others stay; None makes all foreground 1.
Values = Mapping[int, int] | None


def has_foreground(case: Case, values: Values, channels: int, classes: int) -> bool:
    """Whether a case, which is checked whole, has any foreground.

    Args:
        case: its files.
        values: of its label map.
        channels: of the task.
        classes: of the task, without background.

    Raises:
        FileNotFoundError: an image is not there.
        ValueError: a file that cannot be read, image and label map on different grids, another number of channels, a
            label value that the task does not have; the message names the file.
    """
    missing = [str(image) for image in case.images if not image.is_file()]
    if missing:
        raise FileNotFoundError(f"{case.label}: no image {', '.join(missing)}")
    label = load_label_map(case.label)
    found = 0
    for image in case.images:
        scan, affine = _opened(image)
        if scan.shape[:3] != tuple(label.shape[1:]) or not same_grid(affine, label.affine, scan.shape[:3]):
            raise ValueError(f"{image} (size {scan.shape}) and {case.label} ({tuple(label.shape[1:])}) differ in grid")
        found += scan.shape[3] if len(scan.shape) == 4 else 1
    if found != channels:
        raise ValueError(f"{case.images[0]}: {found} channels, the task reads {channels}")
    there = np.unique(label.numpy())
    own = set(_mapped(there, values).tolist())
    if own - set(range(classes + 1)):
        raise ValueError(f"{case.label} holds values {there.tolist()}, the task has classes 1 to {classes}")
    return own != {0}


def _opened(image: Path) -> tuple[nib.Nifti1Image, NDArray[np.float64]]:
    try:
        return open_nifti(image)
    except Exception as error:  # a damaged file makes its reader stumble in any way
        raise ValueError(f"cannot read {image} as a scan: {error}") from error


def label_of_task(case: Case, values: Values, target: Path) -> Path:
    """The label file with the task's own values: the case's where they fit, else ``target``, which is written."""
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
