"""The volumes of a Segmentation's segments as a DICOM Structured Report, by template TID 1500."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.sr.codedict import codes

from uniseg_nets.dicom.mark import EQUIPMENT, contribution, series_description
from uniseg_nets.dicom.slices import read_slices
from uniseg_nets.io.files import atomic_path
from uniseg_nets.reports.statistics import voxel_millilitres
from uniseg_nets.version import __version__

__all__ = ["refers_to", "write_measurements"]

_MILLILITRE = hd.sr.CodedConcept("mL", "UCUM", "milliliter")
# What was done to the patient, by the series' modality.
_PROCEDURES = {
    "CT": codes.LN.CTUnspecifiedBodyRegion,
    "MR": codes.LN.MRIUnspecifiedBodyRegion,
    "NM": codes.LN.NMUnspecifiedBodyRegion,
    "PT": codes.LN.PETUnspecifiedBodyRegion,
}
_IMAGING = hd.sr.CodedConcept("363679005", "SCT", "Imaging procedure")


def write_measurements(
    label: NDArray[np.uint8],
    affine: NDArray[np.float64],
    series: Sequence[str | PathLike[str]],
    names: Mapping[int, str],
    segmentation: str | PathLike[str],
    path: str | PathLike[str],
    mark: str = "",
    verdict: str = "",
) -> dict[str, float]:
    """Writes a report of one volume per segment, and returns the volumes in ml by class.

    Args:
        label: (x, y, z), the label map that the Segmentation was made of.
        affine: (4, 4), voxels to RAS+ mm.
        series: the slices' files, in any order.
        names: value -> class, without the background.
        segmentation: file of the Segmentation whose segments are measured; the report refers to it.
        path: of the DICOM file.
        mark: of the label map, see :func:`~uniseg_nets.io.provenance.marked`.
        verdict: the verdict on the case, for the SeriesDescription.

    Raises:
        OSError: no Segmentation there.
        ValueError: its segments are not the classes of the label map, or the series has lost the identifiers that a
            report refers to.
    """
    segments = hd.seg.segread(segmentation)
    voxels = {name: int((label == value).sum()) for value, name in names.items()}
    present = [name for name, count in voxels.items() if count]
    labels = [str(segment.SegmentLabel) for segment in segments.SegmentSequence]
    if labels != present:
        raise ValueError(f"{segmentation} has segments {labels}, the label map classes {present}: make it again")
    volumes = {name: round(voxels[name] * voxel_millilitres(affine[:3, :3]), 3) for name in present}
    slices = read_slices(series)
    device = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=segments.SOPInstanceUID,  # of the software's run: it has no other identity
        name="UniSeg",
        manufacturer_name=EQUIPMENT["manufacturer"],
        model_name=EQUIPMENT["manufacturer_model_name"],
    )
    content = hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(hd.sr.ObserverContext(codes.DCM.Device, device)),
        procedure_reported=_PROCEDURES.get(str(slices[0].get("Modality")), _IMAGING),
        imaging_measurements=[
            _measured(segments, number, volumes[name], slices[0].SeriesInstanceUID)
            for number, name in enumerate(labels, start=1)
        ],
    )
    report = hd.sr.EnhancedSR(
        evidence=[segments, *slices],
        content=content[0],
        series_instance_uid=hd.UID(),
        series_number=1002,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        **EQUIPMENT,
        series_description=series_description(verdict, present, "volumes"),
        contributing_equipment=[contribution(mark)],
        is_complete=True,
        specific_character_set="ISO_IR 192",
    )
    with atomic_path(Path(path)) as temporary:
        report.save_as(temporary, enforce_file_format=True)
    return volumes


def refers_to(report: str | PathLike[str], segmentation: str | PathLike[str]) -> bool:
    """Whether a report's measurements are those of a Segmentation, which may be missing."""
    if not Path(segmentation).is_file():
        return False
    wanted = pydicom.dcmread(segmentation, specific_tags=["SOPInstanceUID"], stop_before_pixels=True).SOPInstanceUID
    return any(
        image.ReferencedSOPInstanceUID == wanted
        for study in pydicom.dcmread(report).CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for image in series.ReferencedSOPSequence
    )


def _measured(
    segments: hd.seg.Segmentation, number: int, millilitres: float, series: str
) -> hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations:
    segment = segments.get_segment_description(number)
    volume = hd.sr.Measurement(name=codes.SCT.Volume, value=millilitres, unit=_MILLILITRE)
    # Not highdicom's from_segmentation: it misses where a Segmentation of one segment names it.
    reference = hd.sr.ReferencedSegment(
        sop_class_uid=segments.SOPClassUID,
        sop_instance_uid=segments.SOPInstanceUID,
        segment_number=number,
        source_series=hd.sr.SourceSeriesForSegmentation(series),
    )
    return hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(segment.tracking_uid, segment.tracking_id),
        referenced_segment=reference,
        finding_category=segment.segmented_property_category,
        finding_type=segment.segmented_property_type,
        algorithm_id=hd.sr.AlgorithmIdentification("UniSeg", __version__),
        measurements=[volume],
    )
