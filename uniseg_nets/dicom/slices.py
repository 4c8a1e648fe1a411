"""The slices that a DICOM object refers to: their identifiers, and the label map on their pixels.

The one rule: each slice is looked up in the label map by its own position, which is right for a tilted gantry too. The
positions may be rounded as far as the reader of series tolerates it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from os import PathLike
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
from nibabel.affines import apply_affine
from numpy.typing import NDArray
from pydicom.uid import UID
from pydicom.valuerep import DA, TM

from uniseg_nets.io.provenance import scan_identity
from uniseg_nets.io.series import LPS_TO_RAS, find_series

__all__ = ["IDENTIFIERS", "frames_of", "missing_identifiers", "patient_points", "present_values", "read_slices"]

logger = logging.getLogger(__name__)

IDENTIFIERS = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
# Voxels, tolerated distance of a slice's corner from the label map's grid. From slice to slice: above that of rounded
# positions, which the reader tolerates up to 0.4 of a slice distance, and below half a voxel, where two slices would
# come together. Within the slice positions are rounded to a part of a pixel.
_OFF_SLICE, _OFF_PIXEL = 0.45, 0.2
# What an object takes over of its patient and study from the first slice, and the kinds of their values. They may be
# empty (type 2 in DICOM PS3.3, C.7.1.1 and C.7.2.1). De-identified files may lack them, or have a birth date of 1970.
_TAKEN_OVER: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("PatientName", "PatientID", "ReferringPhysicianName", "StudyID", "AccessionNumber"), str),
    **{"PatientBirthDate": DA, "PatientSex": hd.PatientSexValues, "StudyDate": DA, "StudyTime": TM},
}
# Some de-identified files have these only in the file meta information.
_IN_FILE_META = {"SOPClassUID": "MediaStorageSOPClassUID", "SOPInstanceUID": "MediaStorageSOPInstanceUID"}


def read_slices(series: Sequence[str | PathLike[str]]) -> list[pydicom.Dataset]:
    """Reads the slices of a series, in the given order. The first one is completed for highdicom; its file stays.

    What an object takes over from it, such as the patient's name, is empty if the file lacks it, or has a value of
    another kind, which is logged. A missing SliceThickness becomes the distance of the slices.

    Args:
        series: files of the slices.

    Raises:
        ValueError: a slice lacks an identifier that a reference to it needs, or is of no kind that DICOM has.
    """
    first, *others = slices = [_read(file) for file in series]
    for keyword, kind in _TAKEN_OVER.items():
        try:
            if value := first.setdefault(keyword, None).value:
                kind(str(value))
        except ValueError:
            logger.warning("%s has no valid %s: it is empty in DICOM objects", series[0], keyword)
            setattr(first, keyword, None)
    if not first.get("SliceThickness"):
        # The reader takes no single slice without any depth.
        first.SliceThickness = _distance(slices) if others else first.SpacingBetweenSlices
    return slices


def missing_identifiers(folder: Path, modality: str, needed: Sequence[str] = IDENTIFIERS) -> str | None:
    """A text on what the series that is read from a folder lacks for references to it; ``None`` if it has all.

    Those are the identifiers of each slice and of its series, a SOPClassUID of DICOM, and a file of its own: the frames
    of an enhanced object cannot be referred to here. A folder without a series that can be read lacks nothing: reading
    it says why.

    Args:
        folder: folder of a series or a study, or a disc with its DICOMDIR.
        modality: DICOM's Modality of the series.
        needed: identifiers that a reference to the series needs.
    """
    return _missing(folder, modality, tuple(needed), scan_identity(folder)[0]["listing_sha256"])


@cache  # each kind of object asks for all folders of a run; their headers are read once
def _missing(folder: Path, modality: str, needed: tuple[str, ...], _listing: str) -> str | None:
    """See :func:`missing_identifiers`; ``_listing`` identifies the folder's files and their versions."""
    try:
        frames = find_series(folder, modality).frames
    except ValueError:
        return None
    for frame in frames:
        if frame.count > 1:
            return f"{frame.file} holds {frame.count} frames, to which no object can refer here, only to single slices"
        if lacking := _lacking(frame.file, _identifiers(frame.header, needed)):
            return lacking
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


def _read(file: str | PathLike[str]) -> pydicom.Dataset:
    slice_ = pydicom.dcmread(file, force=True)
    identifiers = _identifiers(slice_, IDENTIFIERS)
    if lacking := _lacking(file, identifiers):
        raise ValueError(f"{lacking}: no DICOM object could refer to its series")
    for keyword, value in identifiers.items():
        setattr(slice_, keyword, value)
    return slice_


def _identifiers(header: pydicom.Dataset, needed: Sequence[str]) -> dict[str, Any]:
    """The identifiers of a slice, with those of the file itself."""
    own = {keyword: header.get(keyword) or header.file_meta.get(stored) for keyword, stored in _IN_FILE_META.items()}
    return {**{keyword: header.get(keyword) for keyword in needed}, **own}


def _lacking(file: str | PathLike[str], identifiers: Mapping[str, Any]) -> str | None:
    missing = [keyword for keyword, value in identifiers.items() if not value]
    if missing:
        return f"{file} has no {' and no '.join(missing)}"
    kind = UID(identifiers["SOPClassUID"])
    if kind.type != "SOP Class" or kind.is_retired:
        return f"{file} has the SOPClassUID {kind}, a private, retired or unknown one"
    return None


def _distance(slices: Sequence[pydicom.Dataset]) -> float:
    """The distance of the slices along their normal, in mm."""
    row, column = np.asarray(slices[0].ImageOrientationPatient, dtype=float).reshape(2, 3)
    places = np.array([slice_.ImagePositionPatient for slice_ in slices], dtype=float) @ np.cross(row, column)
    return float(np.ptp(places)) / (len(slices) - 1)


def _frame(label: NDArray[np.uint8], affine: NDArray[np.float64], slice_: pydicom.Dataset) -> NDArray[np.uint8]:
    """The label map on the pixels of one slice, (row, column)."""
    last_row, last_column = slice_.Rows - 1, slice_.Columns - 1
    pixels = np.array([[0, 0], [0, last_column], [last_row, 0], [last_row, last_column], [0, 1], [1, 0]])
    places = patient_points(slice_, pixels) * LPS_TO_RAS  # RAS+ mm
    *corners, beside, below = apply_affine(np.linalg.inv(affine), places)
    first, across, down = (np.rint(one).astype(int) for one in (corners[0], beside - corners[0], below - corners[0]))
    on_grid = first + pixels[:4, 1:] * across + pixels[:4, :1] * down  # (corner, 3)
    tolerated = np.where((across == 0) & (down == 0), _OFF_SLICE, _OFF_PIXEL)
    off = np.abs(corners - on_grid).max(axis=0)
    if (off > tolerated).any() or (on_grid < 0).any() or (on_grid >= label.shape).any():
        raise ValueError(
            f"the label map (size {label.shape}) does not lie on the grid of {slice_.filename}: a corner of the slice "
            f"is {off.max():.2g} voxels from its voxel, or is outside of the map; make the label map again from this "
            "series"
        )
    down_index, across_index = np.meshgrid(np.arange(slice_.Rows), np.arange(slice_.Columns), indexing="ij")
    x, y, z = (first[i] + across[i] * across_index + down[i] * down_index for i in range(3))
    return label[x, y, z]
