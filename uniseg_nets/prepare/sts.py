"""Soft-tissue-Sarcoma (TCIA; Vallieres et al., Physics in Medicine and Biology 60, 2015): CT, PET and the tumour.

TCIA's download has one folder per series, ``STS_001/STUDY/SERIES/*.dcm``. The contours of the tumour are on the CT, in
the RTSTRUCT series ``RTstructCT``. The PET is resampled to the CT and converted to SUV by body weight.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from monai.transforms import ResampleToMatch
from nibabel.affines import apply_affine
from numpy.typing import NDArray
from pydicom import dcmread

from uniseg_nets.io.series import LPS_TO_RAS
from uniseg_nets.prepare.contours import enclosed, filled
from uniseg_nets.prepare.raw import RawCase, Volumes
from uniseg_nets.transforms.load import LoadCase

__all__ = ["find_sts"]

_OUTLINES = "rtstructct"  # its description in lower case: the collection writes RTstructCT and RTStructCT
# Names of the tumour without the oedema around it.
_TUMOUR = ("GTV_Mass", "GTV_Mass_CT", "GTV_Research")
_OFF_SLICE = 0.1  # fraction of the slice distance
_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")


@dataclass(frozen=True)
class _Series:
    """A folder with one DICOM series.

    Attributes:
        folder: the folder.
        header: header of its first file.
    """

    folder: Path
    header: Any

    def says(self, keyword: str) -> str:
        return str(self.header.get(keyword, ""))


def find_sts(raw: Path) -> list[RawCase]:
    """Finds the patients with contours of the tumour on their CT.

    Args:
        raw: a folder with ``STS_001`` and so on, at any depth.

    Raises:
        ValueError: if a patient with contours has not exactly one CT that they refer to and one PET with its frame of
            reference, or has two contour series.
    """
    series = _all_series(raw)
    outlines: dict[str, _Series] = {}
    for entry in series:
        if entry.says("Modality") == "RTSTRUCT" and entry.says("SeriesDescription").lower() == _OUTLINES:
            twin = outlines.setdefault(entry.says("PatientID"), entry)
            if twin is not entry:
                raise ValueError(f"{entry.folder} and {twin.folder} both outline the tumour of one patient: remove one")
    cases = []
    for patient, outline in sorted(outlines.items()):
        ct = _only(series, "CT", "SeriesInstanceUID", _referenced_series(outline), outline)
        pet = _only(series, "PT", "FrameOfReferenceUID", ct.says("FrameOfReferenceUID"), outline)
        cases.append(RawCase(patient, None, partial(_read, ct, pet, outline)))
    return cases


def _all_series(raw: Path) -> list[_Series]:
    folders = sorted({file.parent for file in raw.rglob("*.dcm") if not file.name.startswith(".")})
    return [_Series(folder, dcmread(_files(folder)[0], stop_before_pixels=True)) for folder in folders]


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("*.dcm") if not file.name.startswith("."))


def _referenced_series(outline: _Series) -> str:
    """The SeriesInstanceUID of the CT that the contours refer to."""
    try:
        study = outline.header.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
        return str(study.RTReferencedSeriesSequence[0].SeriesInstanceUID)
    except (AttributeError, IndexError) as error:
        raise ValueError(f"{outline.folder} does not refer to a series") from error


def _only(series: Sequence[_Series], modality: str, keyword: str, value: str, outline: _Series) -> _Series:
    matching = [entry for entry in series if entry.says("Modality") == modality and entry.says(keyword) == value]
    if len(matching) != 1:
        places = ", ".join(str(entry.folder) for entry in matching) or "none"
        raise ValueError(f"{outline.folder} needs one {modality} series whose {keyword} is {value}, there is: {places}")
    return matching[0]


def _read(ct: _Series, pet: _Series, outline: _Series) -> Volumes:
    image, uptake = LoadCase(["CT"])(ct.folder), LoadCase(["PET"])(pet.folder)
    affine = image.affine.numpy()
    resampled = ResampleToMatch(mode="bilinear", padding_mode="zeros")(uptake, img_dst=image)
    suv = resampled[0].numpy().astype(np.float32)
    label = _tumour(outline, affine, image.shape[1:])
    return Volumes((np.rint(image[0].numpy()).astype(np.int16), suv), label, affine)


def _tumour(outline: _Series, affine: NDArray[np.float64], shape: Sequence[int]) -> NDArray[np.uint8]:
    """The mask of the contours (x, y, z). A contour inside another one is a hole (DICOM PS3.3, C.8.8.6.3)."""
    label = np.zeros(tuple(shape), dtype=bool)
    to_voxel = np.linalg.inv(affine)
    masks = defaultdict(list)
    for points in _closed_contours(outline):
        voxels = apply_affine(to_voxel, points * LPS_TO_RAS)
        slice_ = round(float(voxels[:, 2].mean()))
        if np.abs(voxels[:, 2] - slice_).max() > _OFF_SLICE or not 0 <= slice_ < shape[2]:
            raise ValueError(f"{outline.folder}: an outline lies between the slices of its CT, or beside them")
        masks[slice_].append(filled(voxels[:, :2], (shape[0], shape[1])))
    for slice_, members in masks.items():
        label[..., slice_] = enclosed(members)
    return label.astype(np.uint8)


def _closed_contours(outline: _Series) -> Iterator[NDArray[np.float64]]:
    """The contours of the tumour that enclose something, (n, 3) points in mm each, in DICOM's axes."""
    rois = {roi.ROINumber: str(roi.ROIName).strip() for roi in outline.header.get("StructureSetROISequence", ())}
    drawn = [
        roi for roi in outline.header.get("ROIContourSequence", ()) if rois.get(roi.ReferencedROINumber) in _TUMOUR
    ]
    if len(drawn) != 1:
        raise ValueError(f"{outline.folder} outlines {', '.join(rois.values())}: expected one of {', '.join(_TUMOUR)}")
    contours = drawn[0].get("ContourSequence", ())
    if not contours:
        raise ValueError(f"{outline.folder} has no contour of {rois[drawn[0].ReferencedROINumber]}: export it again")
    for contour in contours:
        numbers = np.array(contour.get("ContourData") or (), dtype=float, ndmin=1)
        if contour.get("ContourGeometricType", _CLOSED[0]) not in _CLOSED:
            continue  # open lines and points enclose nothing
        if len(numbers) % 3:
            raise ValueError(f"{outline.folder}: an outline has {len(numbers)} numbers, expected x, y, z of each point")
        if len(numbers) >= 9:  # three points
            yield numbers.reshape(-1, 3)
