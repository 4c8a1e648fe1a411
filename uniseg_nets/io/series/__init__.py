"""Reads DICOM series as scans, after a check of every slice's header.

The one rule: a series is read only if its slices make one regular stack; otherwise it is refused and the slices are
named. Not ITK's series reader, which MONAI uses: it ignores gaps, duplicates and tilts, assumes the first slice's pixel
type for all, and inverts MONOCHROME1.
"""

from uniseg_nets.io.series.files import dicom_files, is_dicom, is_dicom_folder, is_disc
from uniseg_nets.io.series.find import Series, dicom_modality, find_series
from uniseg_nets.io.series.frames import Frame, read_frames
from uniseg_nets.io.series.pixels import read_stack
from uniseg_nets.io.series.stack import LPS_TO_RAS, Stack, dicom_series, stack_of

__all__ = [
    "LPS_TO_RAS",
    "Frame",
    "Series",
    "Stack",
    "dicom_files",
    "dicom_modality",
    "dicom_series",
    "find_series",
    "is_dicom",
    "is_dicom_folder",
    "is_disc",
    "read_frames",
    "read_stack",
    "stack_of",
]
