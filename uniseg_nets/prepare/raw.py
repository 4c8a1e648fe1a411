"""Converts data sets that are not NIfTI, case by case.

The one rule: a case is converted whole or not at all, its label map last, and never twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from uniseg_nets.io.files import atomic_path
from uniseg_nets.prepare.find import Case

__all__ = ["RawCase", "Volumes", "case_under", "write_case"]


@dataclass(frozen=True)
class Volumes:
    """A case as arrays on one grid.

    Attributes:
        images: (x, y, z) per channel.
        label: (x, y, z), the task's own values.
        affine: (4, 4), voxel (x, y, z) -> RAS+ mm.
    """

    images: tuple[NDArray[np.floating | np.integer], ...]
    label: NDArray[np.uint8]
    affine: NDArray[np.float64]


@dataclass(frozen=True)
class RawCase:
    """A case that is not read yet.

    Attributes:
        name: name of the case.
        patient: patient of the case; ``None`` if each case is of another patient.
        read: function that reads its volumes; raises ``ValueError`` or ``OSError`` with the file's name.
    """

    name: str
    patient: str | None
    read: Callable[[], Volumes]


def case_under(output: Path, task: str, raw: RawCase, name: str, channels: int) -> Case:
    """The files of a converted case: ``images/TASK/NAME_0000.nii.gz`` and so on, ``labels/TASK/NAME.nii.gz``."""
    images = tuple(output / "images" / task / f"{name}_{channel:04d}.nii.gz" for channel in range(channels))
    return Case(raw.name, raw.patient, images, output / "labels" / task / f"{name}.nii.gz")


def write_case(raw: RawCase, case: Case) -> None:
    """Reads a case and writes its files, if they do not exist.

    Raises:
        OSError: if a file cannot be read or written.
        ValueError: if the case cannot be read, or has another number of channels.
    """
    if all(file.is_file() for file in (*case.images, case.label)):
        return
    volumes = raw.read()
    if len(volumes.images) != len(case.images):
        raise ValueError(f"{raw.name} has {len(volumes.images)} channels, the task reads {len(case.images)}")
    for file, volume in zip((*case.images, case.label), (*volumes.images, volumes.label)):
        with atomic_path(file) as temporary:
            nib.save(nib.Nifti1Image(volume, volumes.affine), temporary)
