"""Structured Reports: the volumes of the label map, of the segments that the Segmentation beside them has."""

import re
import shutil
import subprocess

import highdicom as hd
import nibabel as nib
import numpy as np
import pydicom
import pytest
import torch
from monai.data import MetaTensor

from tests.dicom_files import PATIENT, STUDY, identified, write_series
from tests.test_exports import run
from uniseg_nets.bundle.run import run_bundle
from uniseg_nets.dicom import SaveDicomSegd, SaveDicomSrd
from uniseg_nets.dicom.measurements import write_measurements
from uniseg_nets.dicom.segmentation import write_dicom_seg
from uniseg_nets.io.errors import CasesFailedError
from uniseg_nets.io.provenance import dicom_mark, is_result, marked
from uniseg_nets.io.series import dicom_series
from uniseg_nets.transforms import LoadCase, SaveLabelMapd

SERIES = {**PATIENT, **STUDY}


def volumes_of(file):
    """The report's volumes in ml by segment label."""
    report = hd.sr.srread(file)
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    found = {}
    for group in report.content.get_volumetric_roi_measurement_groups():
        (volume,) = group.get_measurements(name=pydicom.sr.codedict.codes.SCT.Volume)
        assert volume.unit.value == "mL"
        found[group.tracking_identifier] = volume.value
    return found


@pytest.fixture
def study(tmp_path):
    """A small CT series of voxels of 1 x 1.5 x 2 mm."""
    write_series(tmp_path / "study", "CT", np.full((16, 12, 6), 1000), **SERIES)
    return tmp_path / "study"


@pytest.fixture
def saver(table, tmp_path):
    return SaveLabelMapd("pred", tmp_path / "out", table, "liver")


def save(saver, study, thickness=2, tumour=2):
    """Saves a label map: liver 4 x 3 x thickness voxels, a tumour of one, or none."""
    case = {"name": "case1", "image": [str(study)]}
    saver.unfinished([case])
    scan = LoadCase(["CT"])(study)
    label = MetaTensor(torch.zeros(scan.shape, dtype=torch.uint8), affine=scan.affine)
    label[:, 3:7, 3:6, 1 : 1 + thickness] = 1
    label[:, 9, 9, 3] = tumour
    label.meta["filename_or_obj"] = str(study)
    saver({**case, "pred": label})
    return case


def exports(saver, case):
    return [SaveDicomSegd(saver, [case], ["CT"]), SaveDicomSrd(saver, [case], ["CT"])]


def test_a_report_has_the_volume_of_each_segment_and_refers_to_it(saver, study, tmp_path):
    case = save(saver, study)
    run(saver, exports(saver, case))
    written = tmp_path / "out" / "case1.sr.dcm"
    assert volumes_of(written) == {"liver": 24 * 3 / 1000, "liver_tumour": 3 / 1000}
    segments = hd.seg.segread(tmp_path / "out" / "case1.dcm")
    groups = hd.sr.srread(written).content.get_volumetric_roi_measurement_groups()
    for group, segment in zip(groups, segments.SegmentSequence, strict=True):
        reference = group.referenced_segment[0]
        assert reference.referenced_sop_instance_uid == segments.SOPInstanceUID
        assert reference.referenced_segment_numbers == [segment.SegmentNumber]
        assert group.tracking_uid == segment.TrackingUID
        assert group.finding_type.meaning == segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning
    assert dicom_mark(written) == saver.fingerprint(case) and is_result(written)
    assert [one.pending() for one in exports(saver, case)] == [[], []]


def test_a_report_on_one_segment_has_one_volume(saver, study, tmp_path):
    run(saver, exports(saver, save(saver, study, tumour=0)))
    assert volumes_of(tmp_path / "out" / "case1.sr.dcm") == {"liver": 24 * 3 / 1000}


def test_a_report_is_made_anew_with_the_segmentation_that_it_refers_to(saver, study, tmp_path):
    case = save(saver, study)
    run(saver, exports(saver, case))
    written, segmentation = (tmp_path / "out" / name for name in ("case1.sr.dcm", "case1.dcm"))
    first = pydicom.dcmread(written).SOPInstanceUID
    segmentation.unlink()
    run(saver, exports(saver, case))
    again = hd.sr.srread(written)
    assert again.SOPInstanceUID != first
    (group, _) = again.content.get_volumetric_roi_measurement_groups()
    assert group.referenced_segment[0].referenced_sop_instance_uid == pydicom.dcmread(segmentation).SOPInstanceUID


def test_a_report_goes_with_the_label_map_it_was_made_of(saver, study, tmp_path, table):
    run(saver, exports(saver, save(saver, study)))
    other = SaveLabelMapd("pred", tmp_path / "out", table, "liver", metadata={"mirror": True})
    case = save(other, study, thickness=4)
    assert not (tmp_path / "out" / "case1.sr.dcm").exists()
    run(other, exports(other, case))
    assert volumes_of(tmp_path / "out" / "case1.sr.dcm")["liver"] == 48 * 3 / 1000


def test_a_report_on_segments_of_another_label_map_is_refused(saver, study, tmp_path):
    case = save(saver, study)
    series, image = dicom_series(study, "CT"), LoadCase(["CT"])(study)
    label = np.zeros(image.shape[1:], np.uint8)
    label[2:4, 2:4, 2:4] = 1
    written = tmp_path / "out" / "case1.dcm"
    write_dicom_seg(label, image.affine.numpy(), series, {1: "liver"}, written, marked("0" * 32))
    with pytest.raises(CasesFailedError, match=r"no DICOM Structured Report: .*case1.dcm belongs to another label map"):
        run(saver, exports(saver, case)[1:])
    label[9, 9, 3] = 2
    names = {1: "liver", 2: "liver_tumour"}
    with pytest.raises(
        ValueError, match=r"has segments \['liver'\], the label map classes \['liver', 'liver_tumour'\]"
    ):
        write_measurements(label, image.affine.numpy(), series, names, written, tmp_path / "a.dcm")


def test_without_a_segmentation_there_is_no_report_and_the_message_names_it(saver, study):
    case = save(saver, study)
    with pytest.raises(CasesFailedError, match=r"no DICOM Structured Report: .*case1.dcm"):
        run(saver, exports(saver, case)[1:])


def test_a_dicom_file_of_others_in_the_way_stays(saver, study, tmp_path):
    case = save(saver, study)
    theirs = tmp_path / "out" / "case1.sr.dcm"
    theirs.write_bytes(next(study.iterdir()).read_bytes())
    with pytest.raises(CasesFailedError, match=r"case1\.sr\.dcm exists and was not written by this package"):
        run(saver, exports(saver, case))
    assert theirs.read_bytes() == next(study.iterdir()).read_bytes()


def test_a_study_s_report_has_the_volumes_of_its_label_map(test_data, demo_weights, tmp_path):
    study = tmp_path / "in" / "study"
    identified(test_data / "data" / "examples" / "dicom_ct", study)
    options = {"task": "spleen", "output_dir": str(tmp_path / "out"), "dicom_sr": True}
    run_bundle("uniseg_upstream", ["inference.json", "demo.json"], dataset_dir=str(study.parent), **options)
    label = nib.load(tmp_path / "out" / "study.nii.gz")
    voxels = int((np.asarray(label.dataobj) == 11).sum())
    millilitres = abs(np.linalg.det(label.affine[:3, :3])) / 1000
    written = tmp_path / "out" / "study.sr.dcm"
    assert volumes_of(written) == {"spleen": pytest.approx(voxels * millilitres, abs=0.001)}
    for file in (written, tmp_path / "out" / "study.dcm"):
        if shutil.which("dciodvfy"):
            report = subprocess.run(["dciodvfy", file], capture_output=True, text=True, check=False)
            assert not re.search("^Error", report.stderr + report.stdout, re.MULTILINE), report.stderr[:2000]
