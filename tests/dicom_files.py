"""Small DICOM files, made for a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

SOP_CLASSES = {
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "PT": "1.2.840.10008.5.1.4.1.1.128",
    "RTSTRUCT": "1.2.840.10008.5.1.4.1.1.481.3",
}


def dataset(modality: str, **tags: Any) -> FileDataset:
    """A data set of a modality with what every file needs, and these tags."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SOP_CLASSES[modality]
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    found = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    found.SOPClassUID, found.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    found.Modality = modality
    found.StudyInstanceUID = "1.2.3"
    for keyword, value in tags.items():
        setattr(found, keyword, value)
    return found


def write(file: Path, data: Dataset) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(file, enforce_file_format=True)
    return file


def write_slice(
    file: Path,
    pixels: np.ndarray,
    modality: str,
    position: Any,
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    orientation: Any = (1, 0, 0, 0, 1, 0),
    **tags: Any,
) -> Path:
    """Writes one slice.

    Args:
        file: to write.
        pixels: (row, column), stored values.
        modality: DICOM's word.
        position: of the first pixel, in mm, DICOM's axes.
        spacing: of rows, of columns, of slices, in mm.
        orientation: directions of a row and of a column.
        tags: further ones.
    """
    data = dataset(
        modality,
        ImagePositionPatient=[float(mm) for mm in position],
        ImageOrientationPatient=[float(part) for part in orientation],
        PixelSpacing=list(spacing[:2]),
        SliceThickness=spacing[2],
        Rows=pixels.shape[0],
        Columns=pixels.shape[1],
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
        BitsAllocated=16,
        BitsStored=16,
        HighBit=15,
        PixelRepresentation=0,
        **{"RescaleSlope": 1, "RescaleIntercept": 0, **tags},
    )
    data.PixelData = pixels.astype(np.uint16).tobytes()
    return write(file, data)
