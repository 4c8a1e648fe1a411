"""The slices that a DICOM object refers to: their identifiers, and the label map on their pixels.

The one rule: each slice is looked up in the label map by its own position, which is right for a tilted gantry too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path

import numpy as np
import pydicom
from nibabel.affines import apply_affine
from numpy.typing import NDArray

from uniseg_nets.io.series import LPS_TO_RAS, Frame, dicom_files, read_frames

__all__ = ["IDENTIFIERS", "frames_of", "missing_identifiers", "patient_points", "present_values", "read_slices"]

IDENTIFIERS = ("StudyInstanceUID", "SeriesInstanceUID")
_OFF_GRID = 0.01  # voxels
# Some de-identified files have these only in the file meta information.
_IN_FILE_META = {"SOPClassUID": "MediaStorageSOPClassUID", "SOPInstanceUID": "MediaStorageSOPInstanceUID"}


def read_slices(series: Sequence[str | PathLike[str]], needed: Sequence[str] = IDENTIFIERS) -> list[pydicom.Dataset]:
    """Reads the slices of a series, in the given order.

    Args:
        series: files of the slices.
        needed: identifiers that a reference to the series needs.

    Raises:
        ValueError: a slice lacks an identifier.
    """
    return [_read(file, needed) for file in series]


def missing_identifiers(folder: Path, modality: str, needed: Sequence[str] = IDENTIFIERS) -> str | None:
    """A text on what the first image of a folder lacks for references to it; ``None`` if it has all.

    Those are the identifiers, and a file of its own: the frames of an enhanced object cannot be referred to here.

    Args:
        folder: folder of a series, or a disc with its DICOMDIR.
        modality: DICOM's Modality of the image; others in the folder, and reports, are passed over.
        needed: identifiers that a reference to the series needs.

    Raises:
        ValueError: a DICOM file cannot be parsed.
    """
    for file in dicom_files(folder):
        for frame in read_frames(file):
            if frame.get("Modality") == modality:
                if frame.count > 1:
                    return (
                        f"{file} holds {frame.count} frames, to which no object can refer here, only to single slices"
                    )
                return _lacking(file, frame, needed)
    return None


def frames_of(
    label: NDArray[np.uint8], affine: NDArray[np.float64], slices: Sequence[pydicom.Dataset]
) -> NDArray[np.uint8]:
    """The label map on the pixels of the slices.

    Args:
        label: (x, y, z) on the grid of the series.
        affine: (4, 4), voxel (x, y, z) -> RAS+ mm.
        slices: from :func:`read_slices`.

    Returns:
        (slice, row, column), uint8.

    Raises:
        ValueError: the label map is on another grid than a slice.
    """
    return np.stack([_frame(label, affine, slice_) for slice_ in slices])


def present_values(frames: NDArray[np.uint8], values: Iterable[int], nothing: str) -> list[int]:
    """The values that occur in the frames, in the given order.

    Args:
        frames: from :func:`frames_of`.
        values: values of the classes.
        nothing: end of the message: the object that needs a foreground, and why.

    Raises:
        ValueError: none of the values occurs.
    """
    present = [value for value in values if (frames == value).any()]
    if not present:
        raise ValueError(f"a label map without foreground makes no {nothing}")
    return present


def patient_points(slice_: pydicom.Dataset, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """The position of points on a slice in the patient.

    Args:
        slice_: the slice.
        pixels: (n, 2), points (row, column) with whole numbers at the centre of a pixel.

    Returns:
        (n, 3), (x, y, z) in DICOM's LPS+ mm.
    """
    corner = np.asarray(slice_.ImagePositionPatient, dtype=float)
    along_row, along_column = np.asarray(slice_.ImageOrientationPatient, dtype=float).reshape(2, 3)
    down, across = (float(mm) for mm in slice_.PixelSpacing)
    return corner + pixels[:, 1:] * across * along_row + pixels[:, :1] * down * along_column


def _read(file: str | PathLike[str], needed: Sequence[str]) -> pydicom.Dataset:
    slice_ = pydicom.dcmread(file, force=True)
    for keyword, stored in _IN_FILE_META.items():
        if value := slice_.get(keyword) or slice_.file_meta.get(stored):
            setattr(slice_, keyword, value)
    lacking = _lacking(file, slice_, (*needed, *_IN_FILE_META))
    if lacking:
        raise ValueError(f"{lacking}: no DICOM object could refer to its series")
    return slice_


def _lacking(file: str | PathLike[str], header: pydicom.Dataset | Frame, needed: Sequence[str]) -> str | None:
    missing = [name for name in needed if not header.get(name)]
    return f"{file} has no {' and no '.join(missing)}" if missing else None


def _frame(label: NDArray[np.uint8], affine: NDArray[np.float64], slice_: pydicom.Dataset) -> NDArray[np.uint8]:
    """The label map on the pixels of one slice, (row, column)."""
    # The first pixel, the one beside it and the one below it, in RAS+ mm.
    places = patient_points(slice_, np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0]])) * LPS_TO_RAS
    first, across, down = apply_affine(np.linalg.inv(affine), places)
    steps = np.stack((first, across - first, down - first))
    voxels = np.rint(steps).astype(int)
    last = voxels[0] + voxels[1] * (slice_.Columns - 1) + voxels[2] * (slice_.Rows - 1)
    size = np.asarray(label.shape)
    if (
        np.abs(steps - voxels).max() > _OFF_GRID
        or ((voxels[0] < 0) | (last < 0) | (voxels[0] >= size) | (last >= size)).any()
    ):
        raise ValueError(f"the label map (size {label.shape}) does not lie on the grid of {slice_.filename}")
    down_index, across_index = np.meshgrid(np.arange(slice_.Rows), np.arange(slice_.Columns), indexing="ij")
    x, y, z = (voxels[0][i] + voxels[1][i] * across_index + voxels[2][i] * down_index for i in range(3))
    return label[x, y, z]
