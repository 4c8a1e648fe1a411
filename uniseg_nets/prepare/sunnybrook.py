"""Sunnybrook Cardiac Data (Radau et al., MIDAS Journal 2009): short-axis cine MR with contours of the left ventricle.

``scd_patientdata.csv`` maps a patient's images (``PatientID``, SCD0000101) to the contours (``OriginalID``, SC-HF-I-1).
``SCD0000101/CINESAX_nnn/IM-xxxx-yyyy.dcm`` is frame yyyy of the short-axis series, and
``SC-HF-I-01/contours-manual/IRCCI-expert/IM-0001-yyyy-icontour-manual.txt`` the blood pool on it, x and y of each point
in pixels. There are contours for end-diastole and end-systole, each on a stack of slices that show the ventricle.
"""

from __future__ import annotations

import csv
import logging
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import itk
import numpy as np
from monai.data import ITKReader
from monai.utils.enums import MetaKeys
from numpy.typing import NDArray

from uniseg_nets.io.messages import listing
from uniseg_nets.prepare.contours import filled
from uniseg_nets.prepare.raw import RawCase, Volumes

__all__ = ["find_sunnybrook"]

logger = logging.getLogger(__name__)

_TABLE = "scd_patientdata.csv"
_OUTLINE = re.compile(r"IM-\d+-(\d+)-icontour-manual\.txt")
_IMAGE = re.compile(r"IM-\d+-(\d+)\.dcm")
_SAME_SLICE = 0.1  # mm
_UNEVEN = 0.1  # of the distance between slices


@dataclass(frozen=True)
class _Frame:
    """An image with a contour.

    Attributes:
        position: position of its slice along the series' normal in mm.
        index: index of its slice in the series, by position.
        phase: cardiac phase, from 0.
        image, outline: files of image and contour.
        points: (n, 2), x and y of the contour in pixels.
    """

    position: float
    index: int
    phase: int
    image: Path
    outline: Path
    points: NDArray[np.float64]

    @property
    def area(self) -> float:
        """Area of the contour in pixels."""
        x, y = self.points.T
        return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2


def find_sunnybrook(raw: Path) -> list[RawCase]:
    """Finds the stacks of all patients with images and contours, named ``SC-HF-I-01_ED`` and ``..._ES``.

    A stack that lacks a contour between two others is left out, with a warning.

    Args:
        raw: a folder with the table, the images and the contours, at any depth.

    Raises:
        FileNotFoundError: if there is no table of patients.
        ValueError: if contours belong to no patient in the table or to frames that no series has, or cannot be read.
    """
    images_of = _patients(raw)
    series_of: dict[str, list[Path]] = defaultdict(list)
    for place in sorted(raw.rglob("CINESAX*")):
        series_of[place.parent.name].append(place)
    cases: list[RawCase] = []
    without = []
    for folder in sorted(raw.rglob("contours-manual/IRCCI-expert")):
        patient = folder.parent.parent.name
        if "__MACOSX" in folder.parts:  # metadata in archives made on a Mac
            continue
        if patient not in images_of:
            raise ValueError(f"{folder}: {_TABLE} has no OriginalID for {patient}")
        if series := series_of[images_of[patient]]:
            cases += _stacks(patient, folder, series)
        else:
            without.append(patient)
    if without:
        logger.warning("no images of %d patients, left out: %s", len(without), listing(without))
    return cases


def _patients(raw: Path) -> dict[str, str]:
    """Name of the folder of contours -> name of the folder of images."""
    table = next(iter(sorted(raw.rglob(_TABLE))), None)
    if table is None:
        raise FileNotFoundError(f"no {_TABLE} in {raw}: it says whose outlines belong to which images")
    with table.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"PatientID", "OriginalID"} <= set(rows[0]):
        raise ValueError(f"{table} lacks the columns PatientID and OriginalID")
    # SC-HF-I-1 in the table is SC-HF-I-01 in the folder of contours.
    return {re.sub(r"\d+$", lambda n: n[0].zfill(2), row["OriginalID"]): row["PatientID"] for row in rows}


def _stacks(patient: str, folder: Path, series: list[Path]) -> list[RawCase]:
    """The stacks of a patient, at most two."""
    outlines = {int(match[1]): file for file in folder.iterdir() if (match := _OUTLINE.fullmatch(file.name))}
    if not outlines:
        raise ValueError(f"{folder} holds no outline such as IM-0001-0020-icontour-manual.txt")
    images = [{int(m[1]): file for file in place.iterdir() if (m := _IMAGE.fullmatch(file.name))} for place in series]
    fitting = [index for index, files in enumerate(images) if set(outlines) <= set(files)]
    if not fitting:
        raise ValueError(f"{folder}: no series of {', '.join(map(str, series))} has all frames that are outlined")
    if len(fitting) > 1:
        logger.warning(
            "%s: %s all have the outlined frames, and the first is read: if another was outlined, remove the first",
            folder,
            listing([str(series[index]) for index in fitting]),
        )
    cases = []
    for name, frames in _phases(_frames(outlines, images[fitting[0]])).items():
        if _is_stack(frames):
            cases.append(RawCase(f"{patient}_{name}", patient, partial(_read, frames)))
        else:
            places = [round(frame.position, 1) for frame in frames]
            logger.warning("%s_%s is left out: outlined are the slices at %s mm alone", patient, name, places)
    return cases


def _is_stack(frames: list[_Frame]) -> bool:
    """Whether frames are two or more neighbouring slices at equal distances."""
    steps = np.diff([frame.position for frame in frames])
    neighbours = np.diff([frame.index for frame in frames]) == 1
    return len(frames) > 1 and bool(neighbours.all() and np.ptp(steps) <= _UNEVEN * steps.mean())


def _frames(outlines: Mapping[int, Path], images: Mapping[int, Path]) -> list[_Frame]:
    """The frames with a contour, with slices and phases from all images of the series."""
    slices: list[tuple[float, list[int]]] = []  # position and frames
    for number in sorted(images):
        position = _position(images[number])
        same = next((members for place, members in slices if abs(place - position) < _SAME_SLICE), None)
        if same is None:
            slices.append((position, [number]))
        else:
            same.append(number)
    return [
        _Frame(position, index, phase, images[number], outlines[number], _points(outlines[number]))
        for index, (position, numbers) in enumerate(sorted(slices))
        for phase, number in enumerate(numbers)
        if number in outlines
    ]


def _phases(frames: list[_Frame]) -> dict[str, list[_Frame]]:
    """The two phases with most contours, slices in order. The larger ventricle is end-diastole."""
    stacks = [
        sorted((frame for frame in frames if frame.phase == phase), key=lambda frame: frame.position)
        for phase, _ in Counter(frame.phase for frame in frames).most_common(2)
    ]
    return dict(zip(("ED", "ES"), sorted(stacks, key=lambda stack: -sum(frame.area for frame in stack))))


def _read(frames: list[_Frame]) -> Volumes:
    try:
        array, meta = ITKReader().get_data(itk.imread([str(frame.image) for frame in frames]))
    except RuntimeError as error:
        raise ValueError(f"cannot read {frames[0].image} and its neighbours as a stack: {error}") from error
    label = np.stack([filled(frame.points, array.shape[:2]) for frame in frames], axis=-1).astype(np.uint8)
    return Volumes((np.array(array, dtype=np.int16),), label, np.asarray(meta[MetaKeys.AFFINE], dtype=float))


def _position(file: Path) -> float:
    """The position of a slice along its normal in mm."""
    header = itk.GDCMImageIO.New()
    header.SetFileName(str(file))
    try:
        header.ReadImageInformation()
    except RuntimeError as error:
        raise ValueError(f"cannot read {file} as DICOM: {error}") from error
    row, column = (np.asarray(header.GetDirection(axis)) for axis in range(2))
    return float(np.dot(np.cross(row, column), [header.GetOrigin(axis) for axis in range(3)]))


def _points(file: Path) -> NDArray[np.float64]:
    try:
        points = np.loadtxt(file, ndmin=2)
    except ValueError as error:
        raise ValueError(f"{file} is no outline: {error}") from error
    if points.shape[1] != 2 or len(points) < 3:
        raise ValueError(f"{file} holds numbers of size {points.shape}, expected x and y of three points or more")
    return points
