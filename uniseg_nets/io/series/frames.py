"""The images of DICOM files: one per file, or one per frame of an enhanced multi-frame file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
from pydicom import Dataset

__all__ = ["Frame", "read_frames"]

# Of an enhanced file: the functional groups in which a frame's own values stand (DICOM PS3.3, C.7.6.16).
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
        file: where it is.
        header: the file's, without pixels.
        index: of the image in its file.
    """

    file: Path
    header: Dataset
    index: int = 0

    def get(self, keyword: str) -> Any:
        """A value of the frame's own, else of all frames of its file, else of the file; ``None`` where it is empty."""
        for keeper in self._keepers(keyword):
            value = keeper.get(keyword)
            if value is not None and value != "" and value != []:
                return value
        return None

    def need(self, keyword: str) -> Any:
        """As :meth:`get`.

        Raises:
            ValueError: the frame has no such value.
        """
        value = self.get(keyword)
        if value is None:
            raise ValueError(f"{self} has no {keyword}")
        return value

    @property
    def count(self) -> int:
        """Of the images in the file."""
        return int(self.header.get("NumberOfFrames") or 1)

    @property
    def described(self) -> bool:
        """Whether the image has a description of its own, without which frames of one file have no known place."""
        return self.count in (1, len(self.header.get("PerFrameFunctionalGroupsSequence") or []))

    def __str__(self) -> str:
        return f"frame {self.index + 1} of {self.file.name}" if self.count > 1 else self.file.name

    def _keepers(self, keyword: str) -> list[Dataset]:
        if keyword not in _GROUPS:
            return [self.header]
        own = self.header.get("PerFrameFunctionalGroupsSequence") or []
        groups = [*own[self.index : self.index + 1], *(self.header.get("SharedFunctionalGroupsSequence") or [])]
        found = [sequence[0] for group in groups if (sequence := group.get(_GROUPS[keyword]))]
        return [*found, self.header]


def read_frames(file: Path) -> list[Frame]:
    """The images of a file, from its header; none where it holds no image, as reports and outlines do.

    Raises:
        ValueError: the file cannot be parsed; the message names it.
    """
    try:
        header = pydicom.dcmread(file, stop_before_pixels=True, force=True, specific_tags=_TAGS)
        if not (header.preamble or header.get("Modality")):
            raise ValueError("no DICOM header")
        count = int(header.get("NumberOfFrames") or 1)
        has_image = bool(header.get("Rows") and header.get("Columns"))
    except Exception as error:  # a damaged file makes the parser stumble in any way
        raise ValueError(f"{file} cannot be read as DICOM ({error}): remove it or copy it anew") from error
    return [Frame(file, header, index) for index in range(count)] if has_image else []
