"""Orders the slices of a series as one regular stack, or refuses them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from uniseg_nets.io.messages import listing
from uniseg_nets.io.series.find import Series, find_series
from uniseg_nets.io.series.frames import Frame

__all__ = ["LPS_TO_RAS", "Stack", "dicom_series", "stack_of"]

logger = logging.getLogger(__name__)

LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])  # DICOM's mm and ours differ in the sign of x and y
_SAME_PLACE = 0.01  # mm, maximum distance of two images at one position
# Tolerated distance of a slice from its regular position: that of positions rounded to 0.1 mm, within these bounds
# relative to the slice distance. A missing slice moves others by half of a slice distance or more.
_ROUNDING, _UNEVEN = 0.1, (0.1, 0.4)
_DIRECTION = 1e-3  # tolerance of directions, and of their length 1
# Slice thickness over slice distance. Two acquisitions that are shifted by half of a slice have 2 or, with gaps between
# their slices, a little less; one acquisition of MR may overlap by some tenths.
_OVERLAP = 1.5
_SAME_NUMBER = 0.01  # relative difference of numbers that rounding, or a scanner's adjustment, explains
_DRIFT = 0.1  # pixels, in-plane offset from first to last slice that rounding explains
# Attributes that may distinguish several images at one position.
_TELLING = (
    "AcquisitionNumber",
    "TemporalPositionIdentifier",
    "TemporalPositionIndex",
    "TriggerTime",
    "EchoTime",
    "EffectiveEchoTime",
    "DiffusionBValue",
    "StackID",
    "ConvolutionKernel",
    "ImageType",
)


@dataclass(frozen=True, eq=False)
class Stack:
    """A series whose slices make one regular volume.

    Attributes:
        series: the series.
        frames: its images, ordered by their position along the normal.
        affine: (4, 4), voxel (x, y, z) -> RAS+ mm; sheared if the gantry was tilted.
    """

    series: Series
    frames: tuple[Frame, ...]
    affine: NDArray[np.float64]

    @property
    def files(self) -> list[Path]:
        """The files of the stack, each once, in the order of the slices."""
        return list(dict.fromkeys(frame.file for frame in self.frames))

    def says(self, keyword: str) -> str:
        """A value that all slices share, as text; empty if the files lack it."""
        return next((str(value) for frame in self.frames if (value := frame.get(keyword)) is not None), "")


def dicom_series(folder: Path, modality: str | None = None) -> list[str]:
    """The files of the series that is read from a DICOM folder, in the order of the slices; see :func:`find_series`.

    Raises:
        ValueError: as for :func:`find_series` and :func:`stack_of`.
    """
    return [str(file) for file in stack_of(find_series(folder, modality)).files]


def stack_of(series: Series) -> Stack:
    """Orders the slices of a series along their normal and computes their affine.

    Raises:
        ValueError: if slices have no position, differ in size, spacing, orientation or frame of reference, share a
            position, are not at equal distances, or are of several acquisitions by turns; the message names slices or
            their positions along the normal.
    """
    frames = series.frames
    if (unknown := next((frame for frame in frames if not frame.described), None)) is not None:
        raise ValueError(f"{unknown.file.name} holds {unknown.count} frames without positions: they make no stack")
    for keyword in ("Rows", "Columns", "FrameOfReferenceUID"):
        _refuse_several(frames, keyword, [str(frame.get(keyword)) for frame in frames])
    spacings, orientations, positions = (
        np.array([_numbers(frame, keyword, count) for frame in frames])
        for keyword, count in (("PixelSpacing", 2), ("ImageOrientationPatient", 6), ("ImagePositionPatient", 3))
    )
    for keyword, values in (("PixelSpacing", spacings), ("ImageOrientationPatient", orientations)):
        groups = np.unique(np.round((values - values[0]) / _DIRECTION / 2), axis=0, return_inverse=True)[1].ravel()
        _refuse_several(frames, keyword, [str(values[np.argmax(groups == group)].tolist()) for group in groups])
    row, column = orientations[0].reshape(2, 3)
    lengths = np.array([row @ row, column @ column, row @ column])
    if np.abs(lengths - (1, 1, 0)).max() > 2 * _DIRECTION or spacings[0].min() <= 0:
        raise ValueError(
            f"{frames[0]} has ImageOrientationPatient {orientations[0].tolist()} and PixelSpacing "
            f"{spacings[0].tolist()}: expected two unit vectors at a right angle and distances above 0"
        )
    normal = np.cross(row, column)
    places = positions @ normal
    order = np.argsort(places, kind="stable")
    ordered, places, positions = tuple(frames[i] for i in order), places[order], positions[order]
    _refuse_doublets(ordered, places)
    _refuse_gaps(places, positions)
    _refuse_alternation(ordered, places)
    step = _step(series, ordered, positions, normal, float(spacings[0].min()))
    affine = np.eye(4)
    affine[:3] = (
        np.column_stack((row * spacings[0][1], column * spacings[0][0], step, positions[0])) * LPS_TO_RAS[:, None]
    )
    return Stack(series, ordered, affine)


def _numbers(frame: Frame, keyword: str, count: int) -> NDArray[np.float64]:
    value = frame.need(keyword)
    try:
        numbers = np.array([float(number) for number in value])
    except (TypeError, ValueError):
        numbers = np.empty(0)
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise ValueError(f"{frame} has {keyword} {value}, expected {count} numbers")
    return numbers


def _refuse_several(frames: Sequence[Frame], keyword: str, values: Sequence[str]) -> None:
    count = Counter(values)
    if len(count) > 1:
        counts = [
            f"{value} ({n} of {len(frames)}, such as {frames[values.index(value)]})" for value, n in count.most_common()
        ]
        raise ValueError(f"its slices differ in {keyword}: {listing(counts)}; keep those of one stack in the folder")


def _refuse_doublets(frames: Sequence[Frame], places: NDArray[np.float64]) -> None:
    twice = np.flatnonzero(np.diff(places) < _SAME_PLACE)
    if not len(twice):
        return
    first, second = frames[twice[0]], frames[twice[0] + 1]
    if first.get("SOPInstanceUID") and first.get("SOPInstanceUID") == second.get("SOPInstanceUID"):
        raise ValueError(f"{first} and {second} are the same image (at {places[twice[0]]:g} mm): remove one")
    for keyword in _TELLING:
        values = [str(frame.get(keyword)) for frame in frames]
        count = Counter(values)
        if len(count) > 1 and all(
            np.diff(places[[value == one for value in values]]).min(initial=np.inf) >= _SAME_PLACE for one in count
        ):
            counts = ", ".join(f"{value}: {n} slices" for value, n in sorted(count.items()))
            raise ValueError(
                f"several images lie at {len(twice)} positions and differ in {keyword} ({counts}): keep those of one "
                "acquisition in the folder"
            )
    raise ValueError(
        f"several images lie at {listing([f'{places[i]:g} mm' for i in twice])}, such as {first} and {second}: keep "
        "one of each position in the folder"
    )


def _refuse_gaps(places: NDArray[np.float64], positions: NDArray[np.float64]) -> None:
    """Refuses slices that are not at equal distances on one line."""
    if len(places) < 3:
        return
    even = np.linspace(positions[0], positions[-1], len(positions))
    steps = np.diff(places)
    usual = float(np.median(steps))
    allowed = np.clip(_ROUNDING, _UNEVEN[0] * usual, _UNEVEN[1] * usual)
    if np.linalg.norm(positions - even, axis=1).max() <= allowed:
        return
    wrong = [
        f"{steps[i]:.4g} mm between {places[i]:g} and {places[i + 1]:g} mm"
        for i in np.flatnonzero(np.abs(steps - usual) > allowed)
    ]
    if not wrong:
        raise ValueError(f"its slices from {places[0]:g} to {places[-1]:g} mm are not on one line at equal distances")
    raise ValueError(
        f"its slices are {usual:.4g} mm apart, but {listing(wrong)}: slices are missing or belong to another stack; "
        "copy the series again"
    )


def _refuse_alternation(frames: Sequence[Frame], places: NDArray[np.float64]) -> None:
    """Refuses acquisitions that are shifted by a part of a slice, which together look like one finer stack.

    Their slices take turns, and overlap. One acquisition may do either: MR scanners acquire every second slice first
    and may count that as an acquisition, but these slices hardly overlap; overlapping slices of CT do not take turns.
    Slices of unknown thickness are taken as those of one acquisition.
    """
    thickness = min(float(frame.get("SliceThickness") or 0) for frame in frames)
    step = float(np.median(np.diff(places))) if len(places) > 1 else np.inf
    if thickness < _OVERLAP * step:
        return
    for keyword in _TELLING:
        found = [frame.get(keyword) for frame in frames]
        if all(isinstance(value, float) for value in found) and np.allclose(found, found[0], rtol=_SAME_NUMBER, atol=0):
            continue
        values = [str(value) for value in found]
        count = Counter(values)
        if min(count.values()) > 2 and len(count) > 1 and values[len(count) :] == values[: -len(count)]:
            counts = ", ".join(f"{value}: {n} slices" for value, n in count.items())
            raise ValueError(
                f"its slices are {step:.4g} mm apart and differ in {keyword} by turns ({counts}), as those of shifted "
                "acquisitions do: keep those of one acquisition in the folder"
            )


def _step(
    series: Series, frames: Sequence[Frame], positions: NDArray[np.float64], normal: NDArray[np.float64], pixel: float
) -> NDArray[np.float64]:
    """The step from a slice to the next, (3,) in mm."""
    if len(frames) == 1:
        depth = float(frames[0].get("SpacingBetweenSlices") or frames[0].get("SliceThickness") or 0)
        if depth <= 0:
            raise ValueError(f"{frames[0]} is a single slice without SliceThickness: its voxels have no depth")
        return normal * depth
    way = positions[-1] - positions[0]
    along = normal * (way @ normal)
    aside = float(np.linalg.norm(way - along))
    if aside <= _DRIFT * pixel:
        return along / (len(frames) - 1)
    angle = np.degrees(np.arctan2(aside, np.linalg.norm(along)))
    logger.warning(
        "%s: the gantry was tilted by %.1f degrees: the scan is sheared, see its affine", series.folder, angle
    )
    return way / (len(frames) - 1)
