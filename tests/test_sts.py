"""Soft-tissue-Sarcoma on a miniature of TCIA's layout: CT, PET and RTSTRUCT in folders of their own."""

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.sequence import Sequence

from tests.dicom_files import dataset, tags, write, write_slice
from uniseg_nets.data import load_datalist
from uniseg_nets.prepare import prepare

SLICES, STEP = 6, 3.27
CORNER = np.array([-12.0, -10.0, -40.0])  # of the CT, DICOM's axes
DOSE, HALF_LIFE, WEIGHT = 4.0e8, 6586.2, 70.0
FACTOR = 1000 * WEIGHT / (DOSE * 2 ** (-3600 / HALF_LIFE))  # an hour between injection and scan


def place(x, y, slice_):
    """Of a pixel of the CT, in mm."""
    return (CORNER + np.array([x, y, slice_ * STEP])).tolist()


def tracer():
    return Sequence(
        [
            tags(
                RadiopharmaceuticalStartTime="093000.00",
                RadionuclideTotalDose=DOSE,
                RadionuclideHalfLife=HALF_LIFE,
            )
        ]
    )


def square(x, y, half, slice_):
    """The corners of a square, in mm, around a pixel of the CT."""
    corners = [(x - half, y - half), (x + half, y - half), (x + half, y + half), (x - half, y + half)]
    return tags(
        ContourGeometricType="CLOSED_PLANAR",
        ContourData=[mm for px, py in corners for mm in place(px, py, slice_)],
    )


def add_patient(raw, number, roi="GTV_Mass", **pet):
    """CT of 24 x 20 pixels of 1 mm, PET of 8 x 7 of 3 mm; the tumour on slices 2 and 3, with a hole on slice 3."""
    patient, ct = f"STS_{number:03d}", f"1.2.{number}.1"
    study = raw / "Soft-tissue-Sarcoma" / patient / "09-07-2000-NA-PET CT-63929"
    common = {"PatientID": patient, "FrameOfReferenceUID": f"1.2.{number}"}
    rng = np.random.default_rng(number)
    for slice_ in range(SLICES):
        pixels = rng.integers(1000, 1100, (20, 24))
        pixels[8, 15] = 1424 + slice_
        write_slice(
            study / "2.000000-CT IMAGES - RESEARCH-38601" / f"1-{slice_ + 1}.dcm",
            pixels,
            "CT",
            place(0, 0, slice_),
            (1.0, 1.0, STEP),
            RescaleIntercept=-1024,
            SeriesInstanceUID=ct,
            **common,
        )
        write_slice(
            study / "1.000000-PET AC-51583" / f"1-{slice_ + 1}.dcm",
            np.full((7, 8), 500 // (slice_ + 1)),
            "PT",
            place(1, 1, slice_),
            (3.0, 3.0, STEP),
            **{
                "RescaleSlope": 20.0 * (slice_ + 1),  # one per slice, as PET has it
                "SeriesInstanceUID": f"1.2.{number}.2",
                "AcquisitionTime": f"1{slice_ // 3}3000.00",  # the first bed at 10:30
                "Units": "BQML",
                "DecayCorrection": "START",
                "PatientWeight": WEIGHT,
                "RadiopharmaceuticalInformationSequence": tracer(),
                **common,
                **pet,
            },
        )
    outlined = [square(15, 8, 4.5, 2), square(15, 8, 4.5, 3), square(15, 8, 1.5, 3)]
    series = tags(RTReferencedSeriesSequence=Sequence([tags(SeriesInstanceUID=ct)]))
    structures = dataset(
        "RTSTRUCT",
        PatientID=patient,
        SeriesDescription="RTStructCT",
        SeriesInstanceUID=f"1.2.{number}.3",
        ReferencedFrameOfReferenceSequence=Sequence([tags(RTReferencedStudySequence=Sequence([series]))]),
        StructureSetROISequence=Sequence(
            [tags(ROINumber=1, ROIName="GTV_Edema"), tags(ROINumber=2, ROIName=roi)],
        ),
        ROIContourSequence=Sequence(
            [
                tags(ReferencedROINumber=1, ContourSequence=Sequence([square(15, 8, 7.5, 2)])),
                tags(ReferencedROINumber=2, ContourSequence=Sequence(outlined)),
            ]
        ),
    )
    write(study / "1.000000-RTstructCT-77278" / "1-1.dcm", structures)
    other = pydicom.dcmread(study / "1.000000-RTstructCT-77278" / "1-1.dcm")
    other.SeriesDescription = "RTstructPET"
    write(study / "1.000000-RTstructPET-17357" / "1-1.dcm", other)
    return study


@pytest.fixture
def raw(tmp_path):
    for number in (1, 2):
        add_patient(tmp_path / "raw", number)
    return tmp_path / "raw"


def cases_of(path):
    return {case["name"]: case for section in ("training", "validation") for case in load_datalist(path, section)}


def test_ct_suv_and_tumour_lie_on_the_ct_s_grid(raw, tmp_path, open_tasks):
    cases = cases_of(prepare("sts", raw, tmp_path / "out", open_tasks))
    assert sorted(cases) == ["STS_001", "STS_002"]
    ct, pet, label = (nib.load(file) for file in (*cases["STS_001"]["image"], cases["STS_001"]["label"]))
    assert ct.shape == pet.shape == label.shape == (24, 20, SLICES)
    np.testing.assert_allclose(ct.affine @ [15, 8, 2, 1], [-3.0, 2.0, -40 + 2 * STEP, 1], atol=1e-4)
    assert np.asarray(ct.dataobj)[15, 8].tolist() == [400 + slice_ for slice_ in range(SLICES)]
    suv = np.asarray(pet.dataobj)
    np.testing.assert_allclose(suv[4:18, 4:16, 0], 10000 * FACTOR, rtol=1e-5)  # 500 x 20 Bq/ml
    np.testing.assert_allclose(suv[4:18, 4:16, 2], 166 * 60 * FACTOR, rtol=1e-5)
    mask = np.asarray(label.dataobj)
    assert mask.sum(axis=(0, 1)).tolist() == [0, 0, 81, 81 - 9, 0, 0]
    assert mask[15, 8, 2] == 1 and mask[15, 8, 3] == 0 and mask[15 + 4, 8 - 4, 3] == 1 and mask[15 + 5, 8, 2] == 0


def test_the_one_patient_with_another_name_for_the_tumour_is_read(tmp_path, open_tasks):
    for number in (29, 30):
        add_patient(tmp_path / "raw", number, roi="GTV_Research")
    assert sorted(cases_of(prepare("sts", tmp_path / "raw", tmp_path / "out", open_tasks))) == ["STS_029", "STS_030"]


def test_an_injection_before_midnight_is_an_hour_before_the_scan(tmp_path, open_tasks):
    sequence = tracer()
    sequence[0].RadiopharmaceuticalStartTime = "233000"
    times = {"AcquisitionTime": "003000", "RadiopharmaceuticalInformationSequence": sequence}
    for number in (1, 2):
        add_patient(tmp_path / "raw", number, **times)
    case = cases_of(prepare("sts", tmp_path / "raw", tmp_path / "out", open_tasks))["STS_001"]
    np.testing.assert_allclose(nib.load(case["image"][1]).dataobj[10, 10, 0], 10000 * FACTOR, rtol=1e-5)


def edit(folder, change):
    for file in folder.glob("*.dcm"):
        data = pydicom.dcmread(file)
        change(data)
        data.save_as(file)


def without_weight(study):
    edit(study / "1.000000-PET AC-51583", lambda data: data.pop("PatientWeight"))


def counts(study):
    edit(study / "1.000000-PET AC-51583", lambda data: setattr(data, "Units", "CNTS"))


def between_slices(study):
    def move(data):
        data.ROIContourSequence[1].ContourSequence[0] = square(15, 8, 4.5, 2.4)

    edit(study / "1.000000-RTstructCT-77278", move)


def without_contours(study):
    edit(study / "1.000000-RTstructCT-77278", lambda data: data.ROIContourSequence[1].pop("ContourSequence"))


def part_of_a_point(study):
    def cut(data):
        data.ROIContourSequence[1].ContourSequence[0].ContourData = [1.0, 2.0, 3.0, 4.0]

    edit(study / "1.000000-RTstructCT-77278", cut)


def other_name(study):
    edit(
        study / "1.000000-RTstructCT-77278",
        lambda data: setattr(data.StructureSetROISequence[1], "ROIName", "Bladder"),
    )


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without_weight, r"STS_002: .*PET AC-51583 lacks what SUV is computed from: .*PatientWeight"),
        (counts, r"STS_002: .*PET AC-51583: Units 'CNTS' and DecayCorrection 'START', expected BQML and START"),
        (between_slices, r"STS_002: .*RTstructCT-77278: an outline lies between the slices of its CT"),
        (without_contours, r"STS_002: .*RTstructCT-77278 has no contour of GTV_Mass"),
        (part_of_a_point, r"STS_002: .*RTstructCT-77278: an outline has 4 numbers, expected x, y, z of each point"),
        (other_name, r"STS_002: .*RTstructCT-77278 outlines GTV_Edema, Bladder: expected one of GTV_Mass"),
    ],
)
def test_a_patient_that_cannot_be_converted_is_named(raw, tmp_path, open_tasks, spoil, message):
    spoil(next(raw.rglob("STS_002")) / "09-07-2000-NA-PET CT-63929")
    with pytest.raises(ValueError, match=message):
        prepare("sts", raw, tmp_path / "out", open_tasks)
    assert not (tmp_path / "out" / "datalist.json").exists()
    assert not (tmp_path / "out" / "labels" / "sarcoma" / "STS_002.nii.gz").exists()


def test_contours_that_are_twice_there_overlap_or_are_open(raw, tmp_path, open_tasks):
    study = next(raw.rglob("STS_001")) / "09-07-2000-NA-PET CT-63929"
    line = square(5, 5, 2.5, 5)
    line.ContourGeometricType = "OPEN_PLANAR"

    def draw(data):
        twice, overlapping = [square(15, 8, 4.5, 2)] * 2, [square(10, 8, 2.5, 4), square(12, 8, 2.5, 4)]
        data.ROIContourSequence[1].ContourSequence = Sequence([*twice, square(15, 8, 4.5, 3), *overlapping, line])

    edit(study / "1.000000-RTstructCT-77278", draw)
    label = cases_of(prepare("sts", raw, tmp_path / "out", open_tasks))["STS_001"]["label"]
    mask = np.asarray(nib.load(label).dataobj)
    assert mask.sum(axis=(0, 1)).tolist() == [0, 0, 81, 81, 25 + 10, 0] and mask[11, 8, 4] == 1


def test_series_that_belong_together_are_found_or_named(raw, tmp_path, open_tasks):
    study = next(raw.rglob("STS_002")) / "09-07-2000-NA-PET CT-63929"
    edit(study / "1.000000-PET AC-51583", lambda data: setattr(data, "FrameOfReferenceUID", "9.9"))
    with pytest.raises(
        ValueError, match=r"RTstructCT-77278 needs one PT series whose FrameOfReferenceUID is 1\.2\.2, there is: none"
    ):
        prepare("sts", raw, tmp_path / "out", open_tasks)
    assert not (tmp_path / "out").exists()
