"""Writes a label map as an RT Structure Set: one outline per slice and piece, for planning systems and PACS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataelem import RawDataElement
from pydicom.sr.codedict import codes
from pydicom.tag import BaseTag
from pydicom.uid import ImplicitVRLittleEndian, RTStructureSetStorage

from uniseg_nets.dicom.codes import category_and_type
from uniseg_nets.dicom.mark import EQUIPMENT, contribution, series_description
from uniseg_nets.dicom.outlines import outlines
from uniseg_nets.dicom.slices import frames_of, patient_points, present_values, read_slices
from uniseg_nets.io.files import atomic_path
from uniseg_nets.results.colours import rgb

__all__ = ["write_rtstruct"]

# SOP Class of a study. It is retired, but the reference to a study still requires it.
_STUDY = "1.2.840.10008.3.1.2.3.1"
_DIGITS = 4  # decimals of a coordinate in mm; DICOM's decimal strings have at most 16 characters
_CONTOUR_DATA = BaseTag(0x30060050)


def write_rtstruct(
    label: NDArray[np.uint8],
    affine: NDArray[np.float64],
    series: Sequence[str | PathLike[str]],
    names: Mapping[int, str],
    path: str | PathLike[str],
    mark: str = "",
    verdict: str = "",
) -> list[str]:
    """Writes a structure set with one region of interest per class in the label map; returns their names.

    Args:
        label: (x, y, z) on the grid of the series.
        affine: (4, 4), voxel (x, y, z) -> RAS+ mm.
        series: files of the slices, in any order.
        names: value -> class, without the background.
        path: file to write.
        mark: mark of the label map, see :func:`~uniseg_nets.io.provenance.marked`.
        verdict: the verdict on the case, for the SeriesDescription.

    Raises:
        ValueError: the label map has no foreground, or another grid than the series, or the series lacks identifiers
            that a structure set must refer to.
    """
    slices = read_slices(series)
    frames = frames_of(label, affine, slices)
    present = present_values(frames, names, "structure set: it would have no outline")
    structures = _empty(slices, mark)
    structures.SeriesDescription = series_description(verdict, (names[value] for value in present))
    for number, value in enumerate(present, start=1):
        structures.StructureSetROISequence.append(_region(number, names[value], slices[0].FrameOfReferenceUID))
        structures.ROIContourSequence.append(_outlined(number, list(names).index(value), frames == value, slices))
        structures.RTROIObservationsSequence.append(_observation(number, names[value]))
    with atomic_path(Path(path)) as temporary:
        structures.save_as(temporary, enforce_file_format=True)
    return [names[value] for value in present]


def _empty(slices: Sequence[pydicom.Dataset], mark: str) -> hd.SOPClass:
    """A structure set in the study of the slices, which refers to them and has no structures yet."""
    first = slices[0]
    structures = hd.SOPClass(
        study_instance_uid=first.StudyInstanceUID,
        series_instance_uid=hd.UID(),
        series_number=1001,
        sop_instance_uid=hd.UID(),
        sop_class_uid=RTStructureSetStorage,
        instance_number=1,
        modality="RTSTRUCT",
        transfer_syntax_uid=ImplicitVRLittleEndian,  # explicit VR has no room for outlines above 64 kB
        **EQUIPMENT,
        specific_character_set="ISO_IR 192",
    )
    structures.copy_patient_and_study_information(first)
    structures.OperatorsName = None
    structures.ApprovalStatus = "UNAPPROVED"
    structures.StructureSetLabel = "UniSeg"
    structures.StructureSetDate = structures.InstanceCreationDate
    structures.StructureSetTime = structures.InstanceCreationTime
    structures.FrameOfReferenceUID = first.FrameOfReferenceUID
    structures.PositionReferenceIndicator = first.get("PositionReferenceIndicator")
    structures.ContributingEquipmentSequence = [contribution(mark)]
    images = _item(
        SeriesInstanceUID=first.SeriesInstanceUID, ContourImageSequence=[_reference(slice_) for slice_ in slices]
    )
    study = _item(
        ReferencedSOPClassUID=_STUDY,
        ReferencedSOPInstanceUID=first.StudyInstanceUID,
        RTReferencedSeriesSequence=[images],
    )
    structures.ReferencedFrameOfReferenceSequence = [
        _item(FrameOfReferenceUID=first.FrameOfReferenceUID, RTReferencedStudySequence=[study])
    ]
    structures.StructureSetROISequence = []
    structures.ROIContourSequence = []
    structures.RTROIObservationsSequence = []
    return structures


def _region(number: int, name: str, frame_of_reference: str) -> pydicom.Dataset:
    return _item(
        ROINumber=number,
        ReferencedFrameOfReferenceUID=frame_of_reference,
        ROIName=name[:64],
        ROIGenerationAlgorithm="AUTOMATIC",
    )


def _outlined(number: int, colour: int, masks: NDArray[np.bool_], slices: Sequence[pydicom.Dataset]) -> pydicom.Dataset:
    """The outlines of the masks (slice, row, column) of a region."""
    contours: list[pydicom.Dataset] = []
    for mask, slice_ in zip(masks, slices):
        for points in outlines(mask):
            contour = _item(
                ContourImageSequence=[_reference(slice_)],
                ContourGeometricType="CLOSED_PLANAR",
                NumberOfContourPoints=len(points),
                ContourNumber=len(contours) + 1,
            )
            contour[_CONTOUR_DATA] = _coordinates(patient_points(slice_, points))
            contours.append(contour)
    return _item(ROIDisplayColor=list(rgb(colour)), ReferencedROINumber=number, ContourSequence=contours)


def _coordinates(points: NDArray[np.float64]) -> RawDataElement:
    """Points (n, 3) in mm as an encoded element. It is faster than pydicom, which makes an object per number."""
    text = "\\".join(f"{mm:.{_DIGITS}f}" for mm in points.ravel())
    value = (text + " " * (len(text) % 2)).encode("ascii")
    return RawDataElement(_CONTOUR_DATA, "DS", len(value), value, 0, True, True)


def _observation(number: int, name: str) -> pydicom.Dataset:
    category, kind = category_and_type(name)
    return _item(
        ObservationNumber=number,
        ReferencedROINumber=number,
        RTROIInterpretedType="ORGAN" if category == codes.SCT.AnatomicalStructure else None,
        ROIInterpreter=None,
        RTROIIdentificationCodeSequence=[hd.sr.CodedConcept.from_code(kind)],
    )


def _reference(slice_: pydicom.Dataset) -> pydicom.Dataset:
    return _item(ReferencedSOPClassUID=slice_.SOPClassUID, ReferencedSOPInstanceUID=slice_.SOPInstanceUID)


def _item(**values: object) -> pydicom.Dataset:
    item = pydicom.Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item
