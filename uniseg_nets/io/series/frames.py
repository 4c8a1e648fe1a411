"""The images of DICOM files: one per file, or one per frame of an enhanced multi-frame file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
from pydicom import Dataset

__all__ = ["Frame", "read_frames"]

# The functional groups of an enhanced file that hold a frame's own values (DICOM PS3.3, C.7.6.16).
_GROUPS = {
    "EchoTime": "MREchoSequence",
    "EffectiveEchoTime": "MREchoSequence",
    "DiffusionBValue": "MRDiffusionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "ImagePositionPatient": "PlanePositionSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "SliceThickness": "PixelMeasuresSequence",
    "SpacingBetweenSlices": "PixelMeasuresSequence",
    "StackID": "FrameContentSequence",
    "TemporalPositionIndex": "FrameContentSequence",
}
_TAGS = [
    *_GROUPS,
    "AcquisitionDate",
    "AcquisitionNumber",
    "AcquisitionTime",
    "BitsAllocated",
    "BitsStored",
    "Columns",
    "ContentTime",
    "ConvolutionKernel",
    "CorrectedImage",
    "DecayCorrection",
    "FrameOfReferenceUID",
    "HighBit",
    "ImageType",
    "Modality",
    "ModalityLUTSequence",
    "NumberOfFrames",
    "PatientID",
    "PatientWeight",
    "PerFrameFunctionalGroupsSequence",
    "RadiopharmaceuticalInformationSequence",
    "Rows",
    "SOPClassUID",
    "SOPInstanceUID",
    "SUVType",
    "SamplesPerPixel",
    "SeriesDate",
    "SeriesDescription",
    "SeriesInstanceUID",
    "SeriesNumber",
    "SeriesTime",
    "SharedFunctionalGroupsSequence",
    "StudyInstanceUID",
    "TemporalPositionIdentifier",
    "TriggerTime",
    "Units",
]


@dataclass(frozen=True, eq=False)
class Frame:
    """One image.

    Attributes:
        file: the file.
        header: header of the file, without pixels.
        index: index of the image in the file.
    """

    file: Path
    header: Dataset
    index: int = 0

    def get(self, keyword: str) -> Any:
        """A value of the frame, else of all frames of its file, else of the file; ``None`` if it is empty."""
        for keeper in self._keepers(keyword):
            value = keeper.get(keyword)
            if value is not None and value != "" and value != []:
                return value
        return None

    def need(self, keyword: str) -> Any:
        """Like :meth:`get`.

        Raises:
            ValueError: if the frame has no such value.
        """
        value = self.get(keyword)
        if value is None:
            raise ValueError(f"{self} has no {keyword}")
        return value

    @property
    def count(self) -> int:
        """The number of images in the file."""
        return int(self.header.get("NumberOfFrames") or 1)

    @property
    def described(self) -> bool:
        """Whether the image has its own functional groups; without them the frames of a file have no positions."""
        return self.count in (1, len(self.header.get("PerFrameFunctionalGroupsSequence") or []))

    def __str__(self) -> str:
        return f"frame {self.index + 1} of {self.file.name}" if self.count > 1 else self.file.name

    def _keepers(self, keyword: str) -> list[Dataset]:
        if keyword not in _GROUPS:
            return [self.header]
        own = self.header.get("PerFrameFunctionalGroupsSequence") or []
        groups = [*own[self.index : self.index + 1], *(self.header.get("SharedFunctionalGroupsSequence") or [])]
        items = [sequence[0] for group in groups if (sequence := group.get(_GROUPS[keyword]))]
        return [*items, self.header]


def read_frames(file: Path) -> list[Frame]:
    """The images of a file, from its header; none for files without an image, such as reports and contours.

    Raises:
        ValueError: if the file cannot be parsed; the message names it.
    """
    try:
        header = pydicom.dcmread(file, stop_before_pixels=True, force=True, specific_tags=_TAGS)
        if not (header.preamble or header.get("Modality")):
            raise ValueError("no DICOM header")
        count = int(header.get("NumberOfFrames") or 1)
        has_image = bool(header.get("Rows") and header.get("Columns"))
    except Exception as error:  # a damaged file can raise any error
        raise ValueError(f"{file} cannot be read as DICOM ({error}): remove it or copy it again") from error
    return [Frame(file, header, index) for index in range(count)] if has_image else []
