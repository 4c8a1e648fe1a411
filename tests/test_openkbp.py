"""OpenKBP on a miniature of its layout: ``provided-data/train-pats/pt_N`` with sparse tables."""

import json
import shutil

import nibabel as nib
import numpy as np
import pytest

from uniseg_nets.data import load_datalist
from uniseg_nets.prepare import prepare

SHAPE = (128, 128, 128)  # to posterior, to left, to inferior
# (posterior, left, inferior) of one voxel each
PLACES = {
    "Brainstem": (70, 64, 20),
    "SpinalCord": (75, 64, 60),
    "LeftParotid": (64, 80, 40),
    "RightParotid": (64, 48, 40),
    "Mandible": (45, 64, 50),
}


def table(file, places, values=None):
    indices = np.ravel_multi_index(np.asarray(places).T, SHAPE)
    rows = [f"{index},{'' if values is None else value}" for index, value in zip(indices, values or indices)]
    file.write_text("\n".join([",data", *rows]) + "\n")


def patient(folder, organs=PLACES):
    folder.mkdir(parents=True)
    places = [*PLACES.values(), (0, 0, 0), (100, 64, 60)]
    table(folder / "ct.csv", places, [1000.0 + 10 * index for index in range(5)] + [4095.0, 1.0])
    for organ in organs:
        table(folder / f"{organ}.csv", [PLACES[organ]])
    (folder / "voxel_dimensions.csv").write_text("4.0e+00\n3.5e+00\n2.5e+00\n")
    return folder


@pytest.fixture
def raw(tmp_path):
    for number in range(1, 4):
        patient(tmp_path / "raw" / "provided-data" / "train-pats" / f"pt_{number}")
    return tmp_path / "raw"


def test_patients_become_scans_in_hounsfield_units_the_right_way_round(raw, tmp_path, open_tasks):
    path = prepare("openkbp", raw, tmp_path / "out", open_tasks)
    cases = load_datalist(path, "training") + load_datalist(path, "validation")
    assert sorted(case["name"] for case in cases) == ["pt_1", "pt_2", "pt_3"] and "group" not in cases[0]
    assert cases[0]["image"] == str(tmp_path / "out" / "images" / "head_neck" / f"{cases[0]['name']}_0000.nii.gz")
    scan, label = nib.load(cases[0]["image"]), nib.load(cases[0]["label"])
    assert scan.shape == label.shape == SHAPE and nib.aff2axcodes(scan.affine) == ("L", "P", "S")
    assert scan.header.get_zooms() == (3.5, 4.0, 2.5) and scan.get_data_dtype() == np.int16
    ct, classes = np.asarray(scan.dataobj), np.asarray(label.dataobj)
    found = {value: [tuple(index) for index in np.argwhere(classes == value).tolist()] for value in range(1, 5)}
    assert found == {1: [(64, 70, 107)], 2: [(64, 75, 67)], 3: [(48, 64, 87), (80, 64, 87)], 4: [(64, 45, 77)]}
    assert ct[64, 70, 107] == 0 and ct[64, 45, 77] == 40  # stored as 1000 and 1040
    assert ct[0, 0, 127] == 3095 and ct[64, 100, 67] == -999 and np.median(ct) == -1000


def test_what_is_converted_already_is_not_converted_again(raw, tmp_path, open_tasks):
    path = prepare("openkbp", raw, tmp_path / "out", open_tasks)
    image = tmp_path / "out" / "images" / "head_neck" / "pt_2_0000.nii.gz"
    label = tmp_path / "out" / "labels" / "head_neck" / "pt_3.nii.gz"
    before, entries = image.stat().st_mtime_ns, json.loads(path.read_text())
    label.unlink()
    prepare("openkbp", raw, tmp_path / "out", open_tasks)
    assert label.is_file() and image.stat().st_mtime_ns == before and json.loads(path.read_text()) == entries


def test_patients_without_the_outline_of_an_organ_are_left_out(raw, tmp_path, open_tasks, caplog):
    patient(raw / "pt_9", [organ for organ in PLACES if organ != "Mandible"])
    path = prepare("openkbp", raw, tmp_path / "out", open_tasks)
    names = [case["name"] for section in ("training", "validation") for case in load_datalist(path, section)]
    assert "pt_9" not in names and "1 of 4 patients lack the outline of an organ and are left out: pt_9" in caplog.text


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda f: table(f / "ct.csv", [(1, 1, 1)], [-1000.0]),
            r"ct\.csv holds values from -1000 to -1000, ex",
        ),
        (lambda f: (f / "ct.csv").write_text(",data\n2097152,5.0\n"), r"ct\.csv lists no voxel, or one outside"),
        (lambda f: (f / "Mandible.csv").write_text(",data\nsix,\n"), r"Mandible\.csv is no table of numbers"),
        (
            lambda f: (f / "voxel_dimensions.csv").write_text("4.0\n3.5\n"),
            r"voxel_dimensions\.csv holds \[4.0, 3.5\]",
        ),
        (lambda f: (f / "voxel_dimensions.csv").unlink(), r"voxel_dimensions\.csv"),
    ],
)
def test_a_faulty_patient_is_named_and_the_datalist_not_written(raw, tmp_path, open_tasks, spoil, message):
    spoil(raw / "provided-data" / "train-pats" / "pt_2")
    with pytest.raises(ValueError, match=rf"1 of 3 cases cannot be converted, .*\n  pt_2: .*{message}"):
        prepare("openkbp", raw, tmp_path / "out", open_tasks)
    assert not (tmp_path / "out" / "datalist.json").exists()
    assert not (tmp_path / "out" / "labels" / "head_neck" / "pt_2.nii.gz").exists()


def test_a_folder_without_patients_or_with_one_twice_is_refused(raw, tmp_path, open_tasks):
    with pytest.raises(FileNotFoundError, match=r"no case of openkbp in .*: expected pt_1/ct\.csv"):
        prepare("openkbp", tmp_path / "none", tmp_path / "out", open_tasks)
    shutil.copytree(raw / "provided-data" / "train-pats" / "pt_1", raw / "copy" / "pt_1")
    with pytest.raises(ValueError, match="several cases of one name: pt_1"):
        prepare("openkbp", raw, tmp_path / "out", open_tasks)
