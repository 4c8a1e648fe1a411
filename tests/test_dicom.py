"""DICOM studies in, DICOM Segmentations out, on a real series."""

import json
import shutil
import subprocess
from contextlib import nullcontext
from pathlib import Path

import highdicom as hd
import nibabel as nib
import numpy as np
import pydicom
import pytest
import torch
from monai.data import MetaTensor
from pydicom.uid import generate_uid

from tests.dicom_files import PATIENT, SOP_CLASSES, STUDY, dataset, identified, write, write_enhanced, write_series
from uniseg_nets.bundle.run import run_bundle
from uniseg_nets.dicom import SaveDicomSegd, SaveDicomSrd, SaveRtStructd, slices
from uniseg_nets.dicom.codes import category_and_type
from uniseg_nets.dicom.measurements import write_measurements
from uniseg_nets.dicom.segmentation import write_dicom_seg
from uniseg_nets.dicom.slices import IDENTIFIERS, frames_of, missing_identifiers, read_slices
from uniseg_nets.dicom.structures import write_rtstruct
from uniseg_nets.io.series import dicom_series, find_series
from uniseg_nets.transforms import LoadCase, SaveLabelMapd
from uniseg_nets.transforms.export import read_label_map

VOLUME = np.random.default_rng(0).integers(0, 2000, (5, 6, 10))


@pytest.fixture(scope="module")
def study(test_data, tmp_path_factory):
    """The real CT, and beside it a short MR series of noise."""
    folder = tmp_path_factory.mktemp("dicom") / "patient" / "study"
    files = identified(test_data / "data" / "examples" / "dicom_ct", folder)
    series = generate_uid()
    for index, file in enumerate(files[:3]):
        data = pydicom.dcmread(file)
        data.Modality, data.SeriesInstanceUID, data.SeriesDescription = "MR", series, "localizer"
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        data.save_as(folder / f"mr{index:03d}.dcm")
    return folder


def test_of_several_series_the_task_s_modality_is_taken_and_named(study, caplog):
    ct, mr = (dicom_series(study, modality) for modality in ("CT", "MR"))
    assert len(ct) == 20 and len(mr) == 3
    assert "has 2 DICOM series" in caplog.text and "took MR 'localizer'" in caplog.text
    assert LoadCase(["CT"])(study).shape[-1] == 20 and LoadCase(["T2"])(study).shape[-1] == 3


def test_a_study_becomes_a_segmentation_that_fits_its_series(study, demo_weights, tmp_path):
    options = {"task": "spleen", "output_dir": str(tmp_path), "dicom_seg": True}
    run_bundle("uniseg_upstream", ["inference.json", "demo.json"], dataset_dir=str(study.parents[1]), **options)
    label = nib.load(tmp_path / "study.nii.gz")
    found = hd.seg.segread(tmp_path / "study.dcm")
    assert [segment.SegmentLabel for segment in found.SegmentSequence] == ["spleen"]
    record = json.loads((tmp_path / "study.json").read_text())
    (series,) = record["series"]
    source = pydicom.dcmread(dicom_series(study, "CT")[0])
    assert series["SeriesInstanceUID"] == source.SeriesInstanceUID and series["slices"] == 20
    assert record["verdict"] == "check" and found.SeriesDescription == "UniSeg (check): spleen"
    volume = found.get_volume(combine_segments=True)
    to_ras = np.diag([-1, -1, 1, 1]) @ volume.affine
    voxels = np.argwhere(volume.array > 0)
    places = np.rint(nib.affines.apply_affine(np.linalg.inv(label.affine) @ to_ras, voxels)).astype(int)
    expected = np.argwhere(np.asarray(label.dataobj) == 11)
    assert len(voxels) > 100 and {tuple(place) for place in places} == {tuple(place) for place in expected}
    if shutil.which("dciodvfy"):
        report = subprocess.run(["dciodvfy", tmp_path / "study.dcm"], capture_output=True, text=True, check=False)
        assert "Error" not in report.stderr + report.stdout


def series_in_record(folder, table, channels=("CT",), task="spleen"):
    """Saves an empty label map of a folder or list of channels, if it has none yet; returns its record's series."""
    saver = SaveLabelMapd("pred", Path("out").absolute(), table, task)
    case = {"name": "scan", "image": folder}
    for left in saver.unfinished([case]):
        image = LoadCase(channels)(folder)
        label = {"image": image, "pred": MetaTensor(torch.zeros(1, *image.shape[1:], dtype=torch.uint8))}
        label["pred"].meta.update(image.meta)
        saver({**left, **label})
    assert saver.unfinished([case]) == []
    return json.loads(Path("out/scan.json").read_text()).get("series")


def test_the_record_has_the_series_that_was_read_and_one_that_is_added_later_is_segmented_anew(
    tmp_path, monkeypatch, table
):
    monkeypatch.chdir(tmp_path)
    write_series(tmp_path / "scan", "CT", VOLUME[..., :4], SeriesInstanceUID="1.2.3.1", SeriesDescription="thick")
    thick = {"Modality": "CT", "SeriesInstanceUID": "1.2.3.1", "SeriesDescription": "thick", "slices": 4}
    assert series_in_record("scan", table) == [thick]
    written = Path("out/scan.nii.gz").stat().st_mtime_ns
    assert series_in_record("scan", table) == [thick] and Path("out/scan.nii.gz").stat().st_mtime_ns == written
    for file in write_series(tmp_path / "more", "CT", VOLUME, SeriesInstanceUID="1.2.3.2"):
        file.rename(tmp_path / "scan" / f"more-{file.name}")
    assert series_in_record("scan", table) == [{"Modality": "CT", "SeriesInstanceUID": "1.2.3.2", "slices": 10}]


def test_the_record_has_the_series_of_each_channel_that_came_as_dicom(tmp_path, monkeypatch, table):
    monkeypatch.chdir(tmp_path)
    for kind in ("a", "b"):
        write_series(tmp_path / kind, "MR", VOLUME, SeriesInstanceUID=None, SeriesDescription=kind)
    image = LoadCase(["T1"])("a")
    nib.save(nib.Nifti1Image(image[0].numpy(), image.affine.numpy()), "c.nii.gz")
    both = [{"Modality": "MR", "SeriesDescription": kind, "slices": 10} for kind in ("a", "b")]
    assert series_in_record(["a", "b"], table, ["T1", "T2"]) == both
    shutil.rmtree("out")
    assert series_in_record(["c.nii.gz", "b"], table, ["T1", "T2"]) == [None, both[1]]
    shutil.rmtree("out")
    assert series_in_record("c.nii.gz", table, ["T1"]) is None


def test_a_label_map_of_another_grid_or_without_foreground_is_refused(study, tmp_path):
    image = LoadCase(["CT"])(study)
    label, affine = np.zeros(image.shape[1:], np.uint8), image.affine.numpy()
    series = dicom_series(study, "CT")
    with pytest.raises(ValueError, match="without foreground"):
        write_dicom_seg(label, affine, series, {1: "liver"}, tmp_path / "a.dcm")
    with pytest.raises(ValueError, match="does not lie on the grid"):
        write_dicom_seg(label[:-1] + 1, affine, series, {1: "liver"}, tmp_path / "a.dcm")
    assert not (tmp_path / "a.dcm").exists()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_segmentation_s_pixels_are_the_label_map_s_and_half_a_voxel_beside_them_is_refused(tmp_path, axis):
    write_series(tmp_path / "scan", "CT", np.full((16, 12, 5), 1000), **PATIENT, **STUDY)
    image = LoadCase(["CT"])(tmp_path / "scan")
    label, affine = np.zeros(image.shape[1:], np.uint8), image.affine.numpy()
    label[3:6, 2:9, 1:4] = 1
    series = dicom_series(tmp_path / "scan", "CT")
    write_dicom_seg(label, affine, series, {1: "liver"}, tmp_path / "a.dcm")
    volume = hd.seg.segread(tmp_path / "a.dcm").get_volume(combine_segments=True)
    voxels = nib.affines.apply_affine(np.diag([-1, -1, 1, 1]) @ volume.affine, np.argwhere(volume.array > 0))
    places = nib.affines.apply_affine(affine, np.argwhere(label > 0))
    np.testing.assert_allclose(sorted(voxels.round(3).tolist()), sorted(places.round(3).tolist()))
    moved = affine.copy()
    moved[:3, 3] += moved[:3, axis] / 2
    with pytest.raises(ValueError, match="does not lie on the grid"):
        write_dicom_seg(label, moved, series, {1: "liver"}, tmp_path / "b.dcm")
    assert not (tmp_path / "b.dcm").exists()


@pytest.mark.parametrize(("distance", "decimals"), [(1.25, 1), (0.625, 1), (0.625, 2), (3.27, 1)])
def test_a_series_of_rounded_positions_gets_its_objects_as_it_is_read(tmp_path, distance, decimals):
    for file in write_series(
        tmp_path / "scan", "CT", np.full((16, 12, 20), 1000), (0, 0, distance), **PATIENT, **STUDY
    ):
        data = pydicom.dcmread(file)
        data.ImagePositionPatient = [round(float(mm), decimals) for mm in data.ImagePositionPatient]
        data.save_as(file)
    image, series = LoadCase(["CT"])(tmp_path / "scan"), dicom_series(tmp_path / "scan", "CT")
    label, affine = np.random.default_rng(0).integers(0, 2, image.shape[1:], np.uint8), image.affine.numpy()
    frames = frames_of(label, affine, read_slices(series))
    voxels = label if affine[0, 0] < 0 else label[::-1]
    np.testing.assert_array_equal(frames, voxels.transpose(2, 1, 0))
    write_dicom_seg(label, affine, series, {1: "liver"}, tmp_path / "seg.dcm")
    assert hd.seg.segread(tmp_path / "seg.dcm").pixel_array.sum() == label.sum()
    write_rtstruct(label, affine, series, {1: "liver"}, tmp_path / "rt.dcm")


def test_a_label_map_between_the_pixels_of_a_slice_is_refused(tmp_path):
    write_series(tmp_path / "scan", "CT", np.full((16, 12, 3), 1000), **PATIENT, **STUDY)
    image, series = LoadCase(["CT"])(tmp_path / "scan"), dicom_series(tmp_path / "scan", "CT")
    label = np.ones(image.shape[1:], np.uint8)
    for shift, refused in ((0.1, False), (0.4, True)):
        moved = image.affine.numpy() @ np.array([[1, 0, 0, shift], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
        with pytest.raises(ValueError, match=r"corner of the slice is 0\.4 voxels") if refused else nullcontext():
            write_dicom_seg(label, moved, series, {1: "liver"}, tmp_path / "a.dcm")


def test_a_label_map_whose_voxels_are_a_little_larger_is_refused(tmp_path):
    write_series(tmp_path / "scan", "CT", np.full((200, 12, 3), 1000), **PATIENT, **STUDY)
    image = LoadCase(["CT"])(tmp_path / "scan")
    larger = image.affine.numpy() @ np.diag([1.009, 1, 1, 1])
    label = np.ones((205, 12, 3), np.uint8)
    with pytest.raises(ValueError, match=r"a corner of the slice is .* voxels from its voxel"):
        write_dicom_seg(label, larger, dicom_series(tmp_path / "scan", "CT"), {1: "liver"}, tmp_path / "a.dcm")


def test_a_label_map_of_a_tilted_scan_is_sheared_as_the_scan_and_so_is_its_segmentation(tmp_path, table):
    step = np.array([0, 0.7, 1.9])
    write_series(tmp_path / "scan", "CT", np.full((16, 12, 5), 1000), step=step, **PATIENT, **STUDY)
    image = LoadCase(["CT"])(tmp_path / "scan")
    label = torch.zeros(image.shape, dtype=torch.uint8)
    label[0, 3:6, 2:9, 1:4] = 11
    saver = SaveLabelMapd("pred", tmp_path, table, "spleen")
    saver({"name": "scan", "pred": MetaTensor(label, meta=image.meta)})
    found, _, _ = read_label_map(tmp_path, "scan")
    np.testing.assert_allclose(found.affine, image.affine, atol=1e-5)
    assert found.affine[1, 2] == pytest.approx(-0.7)
    series = dicom_series(tmp_path / "scan", "CT")
    write_dicom_seg(found[0].numpy(), found.affine.numpy(), series, {11: "spleen"}, tmp_path / "seg.dcm")
    frames = pydicom.dcmread(tmp_path / "seg.dcm").PerFrameFunctionalGroupsSequence
    places = [np.array(frame.PlanePositionSequence[0].ImagePositionPatient, dtype=float) for frame in frames]
    np.testing.assert_allclose(
        sorted(places, key=lambda place: place[2]), [z * step - (10, 20, -30) for z in (1, 2, 3)]
    )


def test_a_series_without_identifiers_is_refused_and_says_why(test_data, tmp_path):
    folder = test_data / "data" / "examples" / "dicom_ct"
    image = LoadCase(["CT"])(folder)
    label = np.ones(image.shape[1:], np.uint8)
    with pytest.raises(ValueError, match="has no StudyInstanceUID and no SeriesInstanceUID"):
        write_dicom_seg(label, image.affine.numpy(), dicom_series(folder), {1: "liver"}, tmp_path / "a.dcm")


TAKEN_OVER = [*PATIENT, *STUDY]


def objects_of(folder, label=1):
    """The three DICOM objects of a series and a label map that is full of a value."""
    image, series = LoadCase(["CT"])(folder), dicom_series(folder, "CT")
    label, affine, names = np.full(image.shape[1:], label, np.uint8), image.affine.numpy(), {1: "liver"}
    files = [folder.with_name(f"{kind}.dcm") for kind in ("seg", "sr", "rt")]
    write_dicom_seg(label, affine, series, names, files[0])
    write_measurements(label, affine, series, names, files[0], files[1])
    write_rtstruct(label, affine, series, names, files[2])
    return [pydicom.dcmread(file) for file in files]


@pytest.mark.parametrize("left", [{}, {"PatientID": "t", "StudyDate": "20200101"}, dict.fromkeys(TAKEN_OVER, "")])
def test_objects_of_a_series_without_the_patient_have_the_patient_s_attributes_empty(tmp_path, left):
    files = write_series(tmp_path / "scan", "CT", VOLUME, **left)
    before = [file.read_bytes() for file in files]
    for made in objects_of(tmp_path / "scan"):
        assert {keyword: str(made[keyword].value or "") for keyword in TAKEN_OVER} == dict.fromkeys(
            TAKEN_OVER, ""
        ) | left
    assert [file.read_bytes() for file in files] == before


@pytest.mark.filterwarnings("ignore:Invalid value:UserWarning")
@pytest.mark.parametrize(
    ("keyword", "value"),
    [("PatientBirthDate", "1970"), ("StudyDate", "2020-01-01"), ("StudyTime", "25:61"), ("PatientSex", "W")],
)
def test_a_patient_s_attribute_that_is_no_value_of_dicom_is_empty_in_objects_and_named(
    tmp_path, monkeypatch, caplog, keyword, value
):
    with monkeypatch.context() as patched:
        patched.setattr(pydicom.config.settings, "writing_validation_mode", pydicom.config.IGNORE)
        series = write_series(tmp_path / "scan", "CT", VOLUME, **{**PATIENT, **STUDY, keyword: value})
    assert [str(made[keyword].value or "") for made in objects_of(tmp_path / "scan")] == ["", "", ""]
    assert f"{series[0]} has no valid {keyword}" in caplog.text


@pytest.mark.parametrize("thickness", [None, "gone"])
def test_slices_without_a_thickness_are_as_thick_as_their_distance_in_a_segmentation(tmp_path, thickness):
    for file in write_series(tmp_path / "scan", "CT", VOLUME, step=(0, 0.7, 1.9), SliceThickness=None):
        data = pydicom.dcmread(file)
        if thickness == "gone":
            del data.SliceThickness
        data.save_as(file)
    measures = objects_of(tmp_path / "scan")[0].SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert measures.SliceThickness == pytest.approx(1.9)


def test_a_single_slice_without_a_thickness_has_that_of_its_distance_in_a_segmentation(tmp_path):
    write_series(tmp_path / "scan", "CT", VOLUME[..., :1], SliceThickness=None, SpacingBetweenSlices=3)
    measures = objects_of(tmp_path / "scan")[0].SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert measures.SliceThickness == 3


@pytest.mark.parametrize("keyword", [*IDENTIFIERS, "SOPInstanceUID", "SOPClassUID"])
@pytest.mark.parametrize("export", [SaveDicomSegd, SaveDicomSrd, SaveRtStructd])
def test_a_slice_without_an_identifier_of_any_object_is_named_before_anything_is_predicted(
    tmp_path, table, keyword, export
):
    lost = write_series(tmp_path / "scan", "CT", VOLUME, StudyInstanceUID="1.2.3", **PATIENT, **STUDY)
    for file in lost if keyword in IDENTIFIERS else lost[4:5]:
        data = pydicom.dcmread(file)
        del data[keyword]
        data.file_meta.pop(f"MediaStorage{keyword}", None)
        data.save_as(file, enforce_file_format=False)
    saver = SaveLabelMapd("pred", tmp_path / "out", table, "spleen")
    with pytest.raises(ValueError, match=rf"scan/.*\.dcm has no {keyword}: leave out --"):
        export(saver, [{"name": "scan", "image": [str(tmp_path / "scan")]}], ["CT"])


@pytest.mark.parametrize("kind", ["1.3.12.2.1107.5.9.1", "1.2.840.10008.5.1.4.1.1.5"])  # Siemens' own; retired
@pytest.mark.parametrize("export", [SaveDicomSegd, SaveDicomSrd, SaveRtStructd])
def test_a_slice_of_a_kind_that_is_not_dicom_s_is_named_before_anything_is_predicted(tmp_path, table, kind, export):
    write_series(
        tmp_path / "scan", "CT", VOLUME, **PATIENT, **STUDY, SOPClassUID=lambda z: SOP_CLASSES["CT"] if z < 3 else kind
    )
    saver = SaveLabelMapd("pred", tmp_path / "out", table, "spleen")
    message = rf"scan/.*\.dcm has the SOPClassUID {kind}, a private, retired or unknown one: leave out --"
    with pytest.raises(ValueError, match=message):
        export(saver, [{"name": "scan", "image": [str(tmp_path / "scan")]}], ["CT"])


def test_identifiers_are_those_of_the_series_that_is_read(tmp_path):
    needed = (*IDENTIFIERS, "FrameOfReferenceUID")
    files = write_series(tmp_path / "CT1", "CT", VOLUME)
    write(tmp_path / "CT1" / "A_report.dcm", dataset("RTSTRUCT", Modality="SR"))
    dose = write_series(tmp_path / "dose", "CT", VOLUME[:, :, :1], SeriesDescription="Dose Report")[0]
    data = pydicom.dcmread(dose)
    del data.FrameOfReferenceUID
    write(tmp_path / "CT1" / "AA_dose.dcm", data)
    assert missing_identifiers(tmp_path / "CT1", "CT", needed) is None
    index = pydicom.dcmread(files[0])
    del index.StudyInstanceUID, index.SeriesInstanceUID
    write(tmp_path / "DICOMDIR", index)
    dose.unlink()
    assert missing_identifiers(tmp_path, "CT", needed) is None
    assert "has no PatientID" in missing_identifiers(tmp_path, "CT", ["PatientID"])


def test_a_slice_without_identifiers_behind_good_ones_is_named_before_anything_is_predicted(tmp_path):
    last = write_series(tmp_path, "CT", VOLUME, StudyInstanceUID=lambda z: "1.2.3")[-1]
    write_series(tmp_path / "other", "CT", VOLUME[:, :, :2])[0].rename(tmp_path / "A_first.dcm")
    data = pydicom.dcmread(last)
    del data.FrameOfReferenceUID
    write(last, data)
    assert missing_identifiers(tmp_path, "CT", ["FrameOfReferenceUID"]) == f"{last} has no FrameOfReferenceUID"


def test_the_headers_of_a_folder_are_read_once_for_all_kinds_of_objects_and_again_once_it_changes(
    tmp_path, monkeypatch
):
    read = []
    monkeypatch.setattr(slices, "find_series", lambda *folder: read.append(folder) or find_series(*folder))
    last = write_series(tmp_path, "CT", VOLUME)[-1]
    assert [missing_identifiers(tmp_path, "CT") for _ in range(3)] == [None] * 3 and len(read) == 1
    data = pydicom.dcmread(last)
    del data.FrameOfReferenceUID
    write(last, data)
    assert missing_identifiers(tmp_path, "CT") == f"{last} has no FrameOfReferenceUID" and len(read) == 2


def test_a_folder_that_cannot_be_read_does_not_stop_the_others(tmp_path):
    write(tmp_path / "report.dcm", dataset("RTSTRUCT", Modality="SR"))
    assert missing_identifiers(tmp_path, "CT", IDENTIFIERS) is None


def test_frames_of_one_file_are_refused_before_anything_is_predicted(tmp_path):
    write_enhanced(tmp_path / "enhanced.dcm", VOLUME, range(10), np.ones(10))
    assert "enhanced.dcm holds 10 frames, to which no object can refer" in missing_identifiers(tmp_path, "MR", [])


def test_class_names_of_other_scripts_keep_their_letters(tmp_path):
    series = write_series(tmp_path / "scan", "CT", VOLUME, **PATIENT, **STUDY)
    image = LoadCase(["CT"])(tmp_path / "scan")
    label = np.ones(image.shape[1:], np.uint8)
    write_dicom_seg(label, image.affine.numpy(), series, {1: "ήπαρ 肝臓"}, tmp_path / "seg.dcm")
    (segment,) = pydicom.dcmread(tmp_path / "seg.dcm").SegmentSequence
    assert segment.SegmentLabel == "ήπαρ 肝臓"


def test_slices_without_a_preamble_are_read_like_the_scan(tmp_path):
    for file in write_series(tmp_path, "CT", VOLUME, **PATIENT, **STUDY):
        file.write_bytes(file.read_bytes().removeprefix(b"\0" * 128 + b"DICM"))
    image = LoadCase(["CT"])(tmp_path)
    label = np.ones(image.shape[1:], np.uint8)
    write_dicom_seg(label, image.affine.numpy(), dicom_series(tmp_path, "CT"), {1: "liver"}, tmp_path / "out" / "a.dcm")
    assert hd.seg.segread(tmp_path / "out" / "a.dcm").NumberOfFrames == VOLUME.shape[2]


def test_every_official_class_has_a_code(table):
    kinds = {name: category_and_type(name)[1].meaning for task in table for name in task.classes}
    assert kinds["liver"] == "Liver" and kinds["liver_tumour"] == "Neoplasm" and kinds["vertebrae"] == "Vertebra"
    assert kinds["hepatic_vessel"] == "Blood Vessel" and kinds["brain_oedema"] == "Edema"
    assert category_and_type("thing")[1].meaning == "Tissue"
