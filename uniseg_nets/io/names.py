"""Names and endings of files: which are scans, images or DICOM, and what a scan's name says.

The one rule: file endings are listed here and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

__all__ = [
    "DICOM_ENDINGS",
    "ITK_ENDINGS",
    "NIFTI_ENDINGS",
    "PICTURE_ENDINGS",
    "REDUCED_ENDINGS",
    "REPORT_ENDING",
    "REPORT_PAGES",
    "RUN_TABLES",
    "SCAN_ENDINGS",
    "SEGMENTATION_ENDING",
    "STRUCTURES_ENDING",
    "is_name_of_table",
    "scan_name",
    "scan_stem",
    "without_ending",
]

NIFTI_ENDINGS = (".nii.gz", ".nii")
_VOLUME_ENDINGS = (".nrrd", ".mha", ".mhd")
DICOM_ENDINGS = (".dcm", ".ima")
# Single files of a 3D scan.
SCAN_ENDINGS = (*NIFTI_ENDINGS, *_VOLUME_ENDINGS)
# Files that ITK reads here.
ITK_ENDINGS = (*_VOLUME_ENDINGS, *DICOM_ENDINGS)
# 2D images.
PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", *DICOM_ENDINGS)
# 3D Slicer's segmentations, which are not scans.
SEGMENTATION_ENDING = ".seg.nrrd"
# Our RT Structure Sets and Structured Reports.
STRUCTURES_ENDING = ".rtstruct.dcm"
REPORT_ENDING = ".sr.dcm"
# A scan and its label map as the report's viewer reads them.
REDUCED_ENDINGS = (".scan.nii.gz", ".labels.nii.gz")
# Files on all cases of a run, which lie among the results of cases. Under ``torchrun`` each rank has its own.
RUN_TABLES = ("run.json", "failures.json")
# Files of a report on all cases of a folder. They are deleted with a label map that they describe.
REPORT_PAGES = ("statistics.csv", "statistics.json", "report.html")
_TABLE = re.compile(r"(run|failures|statistics)(_\d+)?")
_CHANNEL = re.compile(r"_(\d{4})$")


def scan_name(path: str | PathLike[str]) -> tuple[str, int | None]:
    """The case name of a scan, and its channel if the name ends in ``_0000`` and the like."""
    name = scan_stem(path)
    channel = _CHANNEL.search(name)
    return (name[: channel.start()], int(channel[1])) if channel else (name, None)


def is_name_of_table(stem: str) -> bool:
    """Whether a file of this name, without its ending, is on a whole run: ``run``, ``failures_1``, ``statistics``."""
    return _TABLE.fullmatch(stem) is not None


def scan_stem(path: str | PathLike[str]) -> str:
    """The name of a scan without its ending, but with the channel number."""
    return without_ending(Path(path).name, SCAN_ENDINGS)


def without_ending(name: str, endings: Sequence[str]) -> str:
    """A name without the first of these endings that it has, in upper or lower case; else the name itself."""
    ending = next((ending for ending in endings if name.lower().endswith(ending)), "")
    return name[: len(name) - len(ending)]
