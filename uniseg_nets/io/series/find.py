"""Finds the series of a DICOM folder, and the one for a channel."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uniseg_nets.io.messages import listing
from uniseg_nets.io.series.files import dicom_files
from uniseg_nets.io.series.frames import Frame, read_frames

__all__ = ["Series", "all_series", "dicom_modality", "find_series"]

logger = logging.getLogger(__name__)

# Modality in a task -> DICOM's Modality. Any other name is MR.
_DICOM_WORDS = {"CT": "CT", "CBCT": "CT", "PET": "PT", "PT": "PT", "US": "US", "NM": "NM"}
# DICOM modalities with pixels that are not scans.
_NO_SCANS = ("SEG", "RTDOSE", "PR")


def dicom_modality(name: str) -> str:
    """DICOM's Modality of a channel: CT, PT for PET; unknown names are MR."""
    return _DICOM_WORDS.get(name.upper(), "MR")


@dataclass(frozen=True, eq=False)
class Series:
    """The images of one series, in no order.

    Attributes:
        folder: folder of the files.
        frames: images, without localisers.
        localisers: localiser images.
    """

    folder: Path
    frames: tuple[Frame, ...]
    localisers: tuple[Frame, ...] = ()

    @property
    def modality(self) -> str:
        return str(self.frames[0].get("Modality") or "")

    @property
    def description(self) -> str:
        return str(self.frames[0].get("SeriesDescription") or "")

    @property
    def uncorrected(self) -> bool:
        """Whether it is a PET without attenuation correction, which scanners store along with the corrected one."""
        corrections = self.frames[0].get("CorrectedImage")
        return self.modality == "PT" and corrections is not None and "ATTN" not in corrections

    def as_record(self) -> dict[str, Any]:
        """What identifies the series in a record: DICOM's attributes as far as it has them, and the number of slices.

        ``slices`` counts the images; all other keys are DICOM's.
        """
        keywords = ("Modality", "SeriesInstanceUID", "SeriesDescription")
        known = {keyword: str(value) for keyword in keywords if (value := self.frames[0].get(keyword)) is not None}
        return {**known, "slices": len(self.frames)}

    def __str__(self) -> str:
        return f"{self.modality} {self.description!r} of {len(self.frames)} slices"


def all_series(folder: Path) -> list[Series]:
    """The series of a folder, or of a disc, in the order of their numbers.

    Raises:
        ValueError: if a DICOM file cannot be parsed.
    """
    members: dict[tuple[str, ...], list[Frame]] = defaultdict(list)
    for file in dicom_files(folder):
        for frame in read_frames(file):
            members[_series_key(frame)].append(frame)
    series = []
    for frames in members.values():
        shown, localisers = (
            tuple(frame for frame in frames if ("LOCALIZER" in (frame.get("ImageType") or ())) is localiser)
            for localiser in (False, True)
        )
        if shown and str(shown[0].get("Modality")) not in _NO_SCANS:
            series.append(Series(folder, shown, localisers))
    return sorted(series, key=lambda one: int(one.frames[0].get("SeriesNumber") or 0))


def find_series(folder: Path, modality: str | None = None) -> Series:
    """The largest series of a modality in a folder. If there are several series, the choice is logged.

    Args:
        folder: the folder, or a disc with its DICOMDIR.
        modality: DICOM's Modality (CT, PT, MR); ``None`` for any.

    Raises:
        ValueError: if there is no series, none of the modality, or series of several patients.
    """
    series = all_series(folder)
    if not series:
        raise ValueError("no DICOM images in this folder: expected the folder of a series or a study")
    _refuse_patients(series)
    names = ", ".join(map(str, series))
    fitting = [one for one in series if modality in (None, one.modality)]
    if not fitting:
        raise ValueError(
            f"holds {names}, but no {modality} series, which the task reads: export that too, or choose another task"
        )
    taken = max(fitting, key=lambda one: (not one.uncorrected, len(one.frames)))
    if len(series) > 1:
        logger.warning(
            "%s has %d DICOM series (%s): took %s %r", folder, len(series), names, taken.modality, taken.description
        )
    if taken.localisers:
        logger.warning("%s: left out the localisers %s", folder, ", ".join(map(str, taken.localisers)))
    return taken


def _refuse_patients(series: Iterable[Series]) -> None:
    """Refuses images of several patients, also within one series: archives mix them up, and so do de-identifiers."""
    patients: dict[str, Frame] = {}
    for frame in (frame for one in series for frame in one.frames):
        if patient := str(frame.get("PatientID") or "").strip():
            patients.setdefault(patient, frame)
    if len(patients) > 1:
        files = listing([str(frame) for frame in patients.values()])  # not the identifiers: messages go into logs
        raise ValueError(
            f"holds DICOM series of {len(patients)} patients (their PatientID differs), such as {files}: give each "
            "patient a folder"
        )


def _series_key(frame: Frame) -> tuple[str, ...]:
    # De-identified files may lack SeriesInstanceUID: number and description then replace it.
    keywords = ["Modality", "StudyInstanceUID", "SeriesInstanceUID"]
    if frame.get("SeriesInstanceUID") is None:
        keywords += ["SeriesNumber", "SeriesDescription"]
    return tuple(str(frame.get(keyword)) for keyword in keywords)
