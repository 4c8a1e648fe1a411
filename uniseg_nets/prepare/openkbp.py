"""OpenKBP 2020 (Babier et al., Medical Physics 48, 2021): CT and organs at risk of the head and neck, as sparse tables.

A patient is a folder ``pt_N``. ``ct.csv`` lists flat indices (C order) of a volume of 128 x 128 x 128 voxels and their
values; the files of organs list indices alone. The axes point to posterior, left and inferior. The voxel size in mm is
in ``voxel_dimensions.csv``.
"""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uniseg_nets.io.messages import listing
from uniseg_nets.prepare.raw import RawCase, Volumes

__all__ = ["find_openkbp"]

logger = logging.getLogger(__name__)

_SHAPE = (128, 128, 128)
# Stored values are HU + 1000, clipped to 0 and 4095; voxels with value 0 are not listed. The publication does not name
# the offset: with 1000 fat is near -100 HU and the brainstem near 27 HU (60 patients); with 1024 both are too low.
_OFFSET = 1000
_HIGHEST = 4095
# Class values in the order of the task's classes; both parotid glands are one class.
_ORGANS = {"Brainstem": 1, "SpinalCord": 2, "LeftParotid": 3, "RightParotid": 3, "Mandible": 4}


def find_openkbp(raw: Path) -> list[RawCase]:
    """Finds the patients with contours of all five organs: an organ without a contour is still in the CT.

    Args:
        raw: a folder with ``pt_N``, at any depth.
    """
    folders = sorted(path.parent for path in raw.rglob("pt_*/ct.csv"))
    complete = [folder for folder in folders if all((folder / f"{organ}.csv").is_file() for organ in _ORGANS)]
    if len(complete) < len(folders):
        names = [folder.name for folder in folders if folder not in complete]
        logger.warning(
            "%d of %d patients lack the outline of an organ and are left out: %s",
            len(names),
            len(folders),
            listing(names),
        )
    return [RawCase(folder.name, None, partial(_read, folder)) for folder in complete]


def _read(folder: Path) -> Volumes:
    indices, values = _table(folder / "ct.csv", columns=2)
    if values.min() < 0 or values.max() > _HIGHEST:
        raise ValueError(
            f"{folder / 'ct.csv'} holds values from {values.min():g} to {values.max():g}, expected 0 to {_HIGHEST} as "
            "distributed"
        )
    ct = np.zeros(_SHAPE, dtype=np.int16)
    ct.flat[indices] = np.rint(values)
    label = np.zeros(_SHAPE, dtype=np.uint8)
    for organ, value in _ORGANS.items():
        label.flat[_table(folder / f"{organ}.csv", columns=1)[0]] = value
    spacing = _numbers(folder / "voxel_dimensions.csv")
    if spacing.shape != (3,) or spacing.min() <= 0:
        raise ValueError(f"{folder / 'voxel_dimensions.csv'} holds {spacing.tolist()}, expected three sizes in mm")
    affine = np.diag([-spacing[1], -spacing[0], spacing[2], 1.0])
    return Volumes((_to_xyz(ct) - np.int16(_OFFSET),), _to_xyz(label), affine)


def _table(file: Path, columns: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Indices and values of a sparse table. With ``columns=1`` the values are the indices."""
    rows = _numbers(file, delimiter=",", skiprows=1, usecols=range(columns), ndmin=2)
    indices = rows[:, 0].astype(np.int64)
    if not len(rows) or indices.min() < 0 or indices.max() >= np.prod(_SHAPE):
        raise ValueError(f"{file} lists no voxel, or one outside the volume of {_SHAPE} voxels")
    return indices, rows[:, -1]


def _numbers(file: Path, **options: Any) -> NDArray[np.float64]:
    try:
        return np.loadtxt(file, **options)
    except ValueError as error:
        raise ValueError(f"{file} is no table of numbers: {error}") from error


def _to_xyz(volume: NDArray) -> NDArray:
    """(y, x, z from superior to inferior) -> (x, y, z from inferior to superior); x to left, y to posterior."""
    return np.ascontiguousarray(volume.transpose(1, 0, 2)[:, :, ::-1])
