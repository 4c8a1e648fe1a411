"""Segmentations for 3D Slicer: the label map's place and values, names, colours; a run makes them where they lack."""

import itk
import numpy as np
import pytest

from tests.test_exports import run
from tests.test_results import case_of, save
from uniseg_nets.data import find_cases
from uniseg_nets.io.errors import CasesFailedError
from uniseg_nets.io.provenance import is_result, nrrd_mark
from uniseg_nets.results.colours import rgb
from uniseg_nets.results.label_map import LabelMap
from uniseg_nets.results.seg_nrrd import SaveSegNrrdd, write_seg_nrrd
from uniseg_nets.transforms import LoadCase, SaveLabelMapd

AFFINES = {
    "LPS": np.diag([-1.0, -2.0, 3.0, 1.0]),
    "left-handed": np.diag([1.0, -2.0, 3.0, 1.0]),
    "permuted": np.array([[0, 0, 2.5, 5], [-0.7, 0, 0, -7], [0, 0.8, 0, 11], [0, 0, 0, 1.0]]),
    "oblique": np.array([[0.9, -0.3, 0.1, 5], [0.4, 1.4, 0, -7], [0, 0.2, 2.5, 11], [0, 0, 0, 1]]),
    "sheared": np.array([[1, 0, 0.5, 5], [0, 1, 0, -7], [0, 0, 3, 11], [0, 0, 0, 1.0]]),
}
LABELS = {0: "background", 11: "spleen", 13: "prostate", 2: "not found"}


def label_map():
    label = np.zeros((5, 4, 3), np.uint8)
    label[1, 2, 0] = 11
    label[3:5, 1:4, 2] = 13
    return label


def fields_of(path):
    written = itk.imread(str(path))  # owns its dictionary
    fields = written.GetMetaDataDictionary()
    return {key: fields[key] for key in fields.GetKeys()}


@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES)
def test_a_segmentation_for_slicer_lies_where_its_scan_does(tmp_path, affine):
    path = LabelMap(label_map(), affine, LABELS).save(tmp_path / "a.seg.nrrd")
    read = LoadCase()(path)
    assert np.array_equal(read[0].numpy(), label_map())
    np.testing.assert_allclose(read.affine.numpy(), affine, atol=1e-12)


@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES)
def test_another_reader_sees_the_same_voxels_at_the_same_places(tmp_path, affine):
    nrrd = pytest.importorskip("nrrd")
    write_seg_nrrd(label_map(), affine, LABELS, tmp_path / "a.seg.nrrd")
    voxels, header = nrrd.read(str(tmp_path / "a.seg.nrrd"))
    assert np.array_equal(voxels, label_map()) and header["space"] == "left-posterior-superior"
    lps = np.diag([-1, -1, 1, 1]) @ affine
    np.testing.assert_allclose(header["space directions"].T, lps[:3, :3], atol=1e-12)
    np.testing.assert_allclose(header["space origin"], lps[:3, 3], atol=1e-12)


def test_every_class_is_a_segment_with_name_value_colour_and_extent(tmp_path):
    write_seg_nrrd(label_map(), np.eye(4), LABELS, tmp_path / "a.seg.nrrd")
    fields = fields_of(tmp_path / "a.seg.nrrd")
    keys = ("Name", "LabelValue", "Layer", "Extent")
    segments = [tuple(fields[f"Segment{index}_{key}"] for key in keys) for index in range(3)]
    assert segments == [
        ("spleen", "11", "0", "1 1 2 2 0 0"),
        ("prostate", "13", "0", "3 4 1 3 2 2"),
        ("not found", "2", "0", "0 -1 0 -1 0 -1"),
    ]
    assert "Segment3_ID" not in fields and fields["Segmentation_SourceRepresentation"] == "Binary labelmap"
    colours = [[float(part) for part in fields[f"Segment{index}_Color"].split()] for index in range(3)]
    np.testing.assert_allclose(np.array(colours) * 255, [rgb(index) for index in range(3)], atol=0.02)


@pytest.fixture
def saver(table, tmp_path):
    return SaveLabelMapd("pred", tmp_path / "out", table, "spleen")


@pytest.fixture
def case(write_scan):
    return case_of(write_scan("case1.nii", np.zeros((12, 10, 8), np.float32), AFFINES["oblique"]))


def test_a_segmentation_asked_for_after_the_run_is_made_without_predicting_again(saver, case, tmp_path):
    save(saver, case, value=11)
    export = SaveSegNrrdd(saver, [case])
    run(saver, [export])
    path = tmp_path / "out" / "case1.seg.nrrd"
    read, label = LoadCase()(path), LoadCase()(tmp_path / "out" / "case1.nii.gz")
    assert bool((read == label).all()) and np.allclose(read.affine, label.affine, atol=1e-6)
    assert fields_of(path)["Segment0_Name"] == "spleen" and export.pending() == []
    assert nrrd_mark(path) == saver.fingerprint(case)


def test_a_segmentation_goes_with_the_label_map_it_was_made_of(saver, case, tmp_path, table):
    save(saver, case, value=11)
    run(saver, [SaveSegNrrdd(saver, [case])])
    save(SaveLabelMapd("pred", tmp_path / "out", table, "spleen", metadata={"mirror": True}), case)
    assert not (tmp_path / "out" / "case1.seg.nrrd").exists()


def test_a_segmentation_drawn_by_hand_stays_and_the_run_says_so(saver, case, tmp_path):
    save(saver, case, value=11)
    theirs = tmp_path / "out" / "case1.seg.nrrd"
    write_seg_nrrd(label_map(), np.eye(4), LABELS, theirs)
    before = theirs.read_bytes()
    with pytest.raises(CasesFailedError, match=r"no segmentation for 3D Slicer: .*nrrd exists and was not written by"):
        run(saver, [SaveSegNrrdd(saver, [case])])
    assert theirs.read_bytes() == before


def test_a_segmentation_is_no_scan_whoever_made_it(saver, case, tmp_path, caplog):
    save(saver, case, value=11)
    run(saver, [SaveSegNrrdd(saver, [case])])
    assert is_result(tmp_path / "out" / "case1.seg.nrrd")
    write_seg_nrrd(label_map(), np.eye(4), LABELS, tmp_path / "drawn.seg.nrrd")
    assert [found["name"] for found in find_cases(tmp_path)] == ["case1"]
    assert "skipped 1 files that are no scans: drawn.seg.nrrd" in caplog.text
    with pytest.raises(ValueError, match=r"drawn.seg.nrrd is no scan"):
        find_cases(tmp_path / "drawn.seg.nrrd")
