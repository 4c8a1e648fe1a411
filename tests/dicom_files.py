"""Small DICOM files, made for a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

SOP_CLASSES = {
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "PT": "1.2.840.10008.5.1.4.1.1.128",
    "RTSTRUCT": "1.2.840.10008.5.1.4.1.1.481.3",
}
# What a DICOM object takes over from its series.
PATIENT = {"PatientID": "t", "PatientName": "t", "PatientBirthDate": "", "PatientSex": "", "AccessionNumber": ""}
STUDY = {"StudyID": "1", "StudyDate": "20200101", "StudyTime": "120000", "ReferringPhysicianName": ""}


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
        **{**_pixels(pixels.shape), "RescaleSlope": 1, "RescaleIntercept": 0, **tags},
    )
    data.PixelData = pixels.astype(np.uint16).tobytes()
    return write(file, data)


def _pixels(shape: Any) -> dict[str, Any]:
    """What describes pixels of a size (rows, columns)."""
    return {
        "Rows": shape[0],
        "Columns": shape[1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 0,
    }


def tags(**values: Any) -> Dataset:
    """A data set with these tags, such as an item of a sequence."""
    found = Dataset()
    for keyword, value in values.items():
        setattr(found, keyword, value)
    return found


def write_series(folder: Path, modality: str, volume: np.ndarray, step: Any = (0, 0, 2), **common: Any) -> list[Path]:
    """Writes a volume (x, y, z) of stored values as one series of axial slices.

    Args:
        folder: to write into, a file per slice, in an order that is not that of the positions.
        modality: DICOM's word.
        volume: stored values.
        step: from a slice to the next, in mm, DICOM's axes.
        common: tags of all slices; a function gives the value of each slice by its index.
    """
    files = []
    series = {"SeriesInstanceUID": generate_uid(), "FrameOfReferenceUID": "1.2.3.4", "SeriesNumber": 1}
    for z in range(volume.shape[2]):
        own = {key: value(z) if callable(value) else value for key, value in {**series, **common}.items()}
        place = np.array([-10.0, -20.0, 30.0]) + z * np.asarray(step, dtype=float)
        spacing = (1.5, 1.0, own.pop("SliceThickness", 2.0))  # of rows, of columns, of slices
        files.append(folder / f"IM{(z * 7) % 101:03d}-{z}.dcm")
        write_slice(files[-1], volume[:, :, z].T, modality, place, spacing, InstanceNumber=z + 1, **own)
    return files


def write_enhanced(file: Path, volume: np.ndarray, order: Any, slopes: Any, **more: Any) -> Path:
    """Writes a volume (x, y, z) as an enhanced MR of 2 mm slices.

    Args:
        file: to write.
        volume: stored values.
        order: the frames' slices, as they lie in the file.
        slopes: of each slice.
        more: further tags of the file.
    """
    frames = [
        tags(
            PlanePositionSequence=[tags(ImagePositionPatient=[-10.0, -20.0, 30.0 + 2 * z])],
            PixelValueTransformationSequence=[tags(RescaleSlope=slopes[z], RescaleIntercept=0, RescaleType="US")],
        )
        for z in order
    ]
    shared = tags(
        PlaneOrientationSequence=[tags(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
        PixelMeasuresSequence=[tags(PixelSpacing=[1.5, 1.0], SliceThickness=2)],
    )
    data = dataset(
        "MR",
        SeriesInstanceUID="1.2.3.5",
        SharedFunctionalGroupsSequence=[shared],
        **{
            "PerFrameFunctionalGroupsSequence": frames,
            "NumberOfFrames": len(frames),
            **_pixels(volume.shape[1::-1]),
            **more,
        },
    )
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4.1"
    data.PixelData = np.stack([volume[:, :, z].T for z in order]).astype(np.uint16).tobytes()
    return write(file, data)


def identified(source: Path, folder: Path) -> list[Path]:
    """Copies a de-identified CT series with the identifiers that were taken from it, so that objects can refer to it.

    Args:
        source: the series' folder.
        folder: to write into.

    Returns:
        the files, in the order of their names.
    """
    folder.mkdir(parents=True)
    study, series = generate_uid(), generate_uid()
    files = []
    for index, file in enumerate(sorted(source.iterdir())):
        data = pydicom.dcmread(file)
        data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID
        data.StudyInstanceUID, data.SeriesInstanceUID = study, series
        data.PatientID, data.PatientName, data.StudyID, data.StudyTime = "test", "Test^Patient", "1", "120000"
        data.SeriesNumber = 1
        data.pop("ProcedureCodeSequence", None)
        files.append(folder / f"ct{index:03d}.dcm")
        data.save_as(files[-1])
    return files
