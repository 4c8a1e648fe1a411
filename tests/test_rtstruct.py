"""RT Structure Sets: what is filled from their outlines is the label map again."""

import re
import shutil
import subprocess

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.uid import ImplicitVRLittleEndian

from tests.dicom_files import PATIENT, STUDY, identified, write_series
from uniseg_nets.bundle.run import run_bundle
from uniseg_nets.dicom import SaveRtStructd
from uniseg_nets.dicom.outlines import outlines
from uniseg_nets.dicom.structures import write_rtstruct
from uniseg_nets.io.provenance import dicom_mark, is_result, marked
from uniseg_nets.io.series import dicom_series
from uniseg_nets.prepare.contours import filled
from uniseg_nets.transforms import LoadCase, SaveLabelMapd


def area(points):
    """Of a closed outline, in pixels, without sign (the shoelace formula)."""
    rows, columns = points.T
    return abs(rows @ np.roll(columns, -1) - columns @ np.roll(rows, -1)) / 2


def filled_again(points, shape):
    return np.logical_xor.reduce([filled(one, shape) for one in points])


def masks_of(file, image):
    """Each region of a structure set as a mask (x, y, z) on a scan's grid, filled by the pixels' centres."""
    data = pydicom.dcmread(file)
    names = {region.ROINumber: region.ROIName for region in data.StructureSetROISequence}
    to_voxel = np.linalg.inv(np.diag([-1, -1, 1, 1]) @ image.affine.numpy())
    found = {}
    for region in data.ROIContourSequence:
        mask = np.zeros(image.shape[1:], bool)
        for contour in region.ContourSequence:
            points = nib.affines.apply_affine(to_voxel, np.reshape(np.asarray(contour.ContourData, float), (-1, 3)))
            z = np.rint(points[:, 2]).astype(int)
            assert len(set(z)) == 1 and np.abs(points[:, 2] - z).max() < 0.01
            mask[:, :, z[0]] ^= filled(points[:, :2], mask.shape[:2])
        found[names[region.ReferencedROINumber]] = mask
    return found


def dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def test_a_pixel_is_a_square_on_its_corner_of_nearly_half_its_area():
    mask = np.zeros((5, 7), bool)
    mask[2, 3] = True
    (points,) = outlines(mask)
    expected = [(1.51, 3), (2, 2.51), (2, 3.49), (2.49, 3)]
    np.testing.assert_allclose(sorted(points.round(6).tolist()), expected)
    assert area(points) == pytest.approx(2 * 0.49**2)


def test_an_outline_at_the_edge_of_the_picture_is_closed_and_has_no_points_along_a_line():
    (points,) = outlines(np.ones((3, 4), bool))
    assert len(points) == 8 and points.min() == pytest.approx(-0.49) and points.max() == pytest.approx(3.49)
    assert area(points) == pytest.approx(2.98 * 3.98 - 4 * 0.49**2 / 2)  # the corners are cut off


def test_an_empty_mask_has_no_outline():
    assert outlines(np.zeros((4, 4), bool)) == []


@pytest.mark.parametrize("seed", range(8))
def test_pieces_and_holes_within_holes_are_filled_to_the_same_mask(seed):
    rng = np.random.default_rng(seed)
    mask = rng.random((40, 50)) < (0.2, 0.5, 0.8)[seed % 3]
    if seed > 5:  # rings
        distance = np.hypot(*np.meshgrid(np.arange(50) - 25, np.arange(40) - 20))
        mask = (distance // 4) % 2 == 0
    assert np.array_equal(filled_again(outlines(mask), mask.shape), mask)


def test_an_outline_rounded_to_pixels_runs_through_pixels_of_the_mask_alone():
    mask = np.random.default_rng(0).random((30, 30)) < 0.7
    rows, columns = np.rint(np.concatenate(outlines(mask))).astype(int).T
    assert mask[rows, columns].all()


def test_a_hole_is_cut_out_of_one_outline_through_a_channel_without_width():
    mask = np.ones((9, 9), bool)
    mask[3:6, 3:6] = mask[1, 7] = False
    (points,) = outlines(mask)
    assert area(points) == pytest.approx(81 - 9 - 1 - 0.5 + 0.5 + 0.5, rel=0.01)
    assert np.array_equal(filled_again([points], mask.shape), mask)


def test_structures_of_a_tilted_scan_are_filled_to_its_label_map(tmp_path):
    write_series(tmp_path / "scan", "CT", np.full((16, 12, 5), 1000), step=(0, 0.7, 1.9), **PATIENT, **STUDY)
    image = LoadCase(["CT"])(tmp_path / "scan")
    label = np.zeros(image.shape[1:], np.uint8)
    label[3:6, 2:9, 1:4], label[8:15, 3:8, 2], label[10, 5, 2] = 1, 2, 0
    names = {1: "liver", 2: "liver_tumour", 3: "spleen"}
    series = dicom_series(tmp_path / "scan", "CT")
    found = write_rtstruct(label, image.affine.numpy(), series, names, tmp_path / "a.dcm", marked("f" * 32))
    assert found == ["liver", "liver_tumour"]
    masks = masks_of(tmp_path / "a.dcm", image)
    assert all(np.array_equal(masks[names[value]], label == value) for value in (1, 2)) and len(masks) == 2
    data = pydicom.dcmread(tmp_path / "a.dcm")
    assert [one.RTROIInterpretedType for one in data.RTROIObservationsSequence] == ["ORGAN", ""]
    assert {len(one.ContourImageSequence) for one in data.ROIContourSequence[0].ContourSequence} == {1}
    assert dicom_mark(tmp_path / "a.dcm") == "f" * 32


def test_an_outline_above_64_kb_is_written_as_decimal_strings(tmp_path):
    write_series(tmp_path / "scan", "CT", np.full((160, 160, 1), 1000), **PATIENT, **STUDY)
    image = LoadCase(["CT"])(tmp_path / "scan")
    label = np.ones(image.shape[1:], np.uint8)
    label[1:-1:2, 1:-1:2] = 0
    write_rtstruct(label, image.affine.numpy(), dicom_series(tmp_path / "scan", "CT"), {1: "a"}, tmp_path / "a.dcm")
    data = pydicom.dcmread(tmp_path / "a.dcm")
    (contour,) = data.ROIContourSequence[0].ContourSequence
    encoded = "\\".join(f"{mm:.4f}" for mm in contour.ContourData)
    assert contour["ContourData"].VR == "DS" and len(encoded) > 2**16
    assert len(contour.ContourData) == 3 * contour.NumberOfContourPoints
    assert data.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian and data.original_encoding == (True, True)
    assert np.array_equal(masks_of(tmp_path / "a.dcm", image)["a"], label == 1)


def test_a_patient_s_name_in_another_script_is_kept(tmp_path):
    patient = PATIENT | {"PatientName": "Müller^Jürgen", "SpecificCharacterSet": "ISO_IR 100"}
    write_series(tmp_path / "scan", "CT", np.full((6, 6, 3), 1000), **patient, **STUDY)
    image = LoadCase(["CT"])(tmp_path / "scan")
    label = np.ones(image.shape[1:], np.uint8)
    series = dicom_series(tmp_path / "scan", "CT")
    write_rtstruct(label, image.affine.numpy(), series, {1: "Leber, größer"}, tmp_path / "a.dcm")
    data = pydicom.dcmread(tmp_path / "a.dcm")
    assert str(data.PatientName) == "Müller^Jürgen" and data.StructureSetROISequence[0].ROIName == "Leber, größer"


def test_a_label_map_without_foreground_or_of_another_grid_is_refused(tmp_path):
    write_series(tmp_path / "scan", "CT", np.full((16, 12, 5), 1000), **PATIENT, **STUDY)
    image = LoadCase(["CT"])(tmp_path / "scan")
    label, affine = np.zeros(image.shape[1:], np.uint8), image.affine.numpy()
    series = dicom_series(tmp_path / "scan", "CT")
    with pytest.raises(ValueError, match="without foreground makes no structure set"):
        write_rtstruct(label, affine, series, {1: "liver"}, tmp_path / "a.dcm")
    with pytest.raises(ValueError, match="does not lie on the grid"):
        write_rtstruct(label[:-1] + 1, affine, series, {1: "liver"}, tmp_path / "a.dcm")
    assert not (tmp_path / "a.dcm").exists()


def test_a_series_without_a_frame_of_reference_is_refused_before_anything_is_predicted(tmp_path, table):
    files = write_series(tmp_path / "scan", "CT", np.full((16, 12, 5), 1000), **PATIENT, **STUDY)
    for file in files:
        data = pydicom.dcmread(file)
        del data.FrameOfReferenceUID
        data.save_as(file)
    saver = SaveLabelMapd("pred", tmp_path / "out", table, "spleen")
    with pytest.raises(ValueError, match=r"has no FrameOfReferenceUID: leave out --rtstruct"):
        SaveRtStructd(saver, [{"name": "scan", "image": [str(tmp_path / "scan")]}], ["CT"])


def test_a_study_becomes_a_structure_set_that_is_filled_to_the_label_map(test_data, demo_weights, tmp_path):
    study = tmp_path / "in" / "study"
    identified(test_data / "data" / "examples" / "dicom_ct", study)
    options = {"task": "spleen", "output_dir": str(tmp_path / "out"), "rtstruct": True}
    run_bundle("uniseg_upstream", ["inference.json", "demo.json"], dataset_dir=str(study.parent), **options)
    written = tmp_path / "out" / "study.rtstruct.dcm"
    label = np.asarray(nib.load(tmp_path / "out" / "study.nii.gz").dataobj) == 11
    mask = masks_of(written, LoadCase(["CT"])(study))["spleen"]
    assert label.sum() > 100 and dice(mask, label) == 1
    assert is_result(written) and not (tmp_path / "out" / "study.dcm").exists()
    if shutil.which("dciodvfy"):
        report = subprocess.run(["dciodvfy", written], capture_output=True, text=True, check=False)
        assert not re.search("^Error", report.stderr + report.stdout, re.MULTILINE), report.stderr[:2000]
