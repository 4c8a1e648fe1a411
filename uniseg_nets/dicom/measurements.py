"""Writes the volumes of the segments of a Segmentation as a DICOM Structured Report (template TID 1500)."""

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
from uniseg_nets.transforms.grid import voxel_millilitres
from uniseg_nets.version import __version__

__all__ = ["refers_to", "write_measurements"]

_MILLILITRE = hd.sr.CodedConcept("mL", "UCUM", "milliliter")
# Modality of the series -> imaging procedure.
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
    """Writes a report with one volume per segment.

    Args:
        label: (x, y, z), the label map from which the Segmentation was made.
        affine: (4, 4), voxel (x, y, z) -> RAS+ mm.
        series: files of the slices, in any order.
        names: value -> class, without the background.
        segmentation: file of the Segmentation with the measured segments; the report refers to it.
        path: file to write.
        mark: mark of the label map, see :func:`~uniseg_nets.io.provenance.marked`.
        verdict: the verdict on the case, for the SeriesDescription.

    Returns:
        Class -> volume in ml.

    Raises:
        OSError: the Segmentation does not exist.
        ValueError: its segments are not the classes of the label map, or the series lacks identifiers that a report
            must refer to.
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
        uid=segments.SOPInstanceUID,  # the software's run has no UID of its own
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
    """Whether a report refers to a Segmentation; False if the Segmentation does not exist."""
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
    # Not highdicom's from_segmentation: it does not find the segment number of a Segmentation with one segment.
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
