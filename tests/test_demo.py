"""The demonstrations: what they segment, by which weights, and what they say."""

import json
import sys

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from uniseg_nets.demo import run_demo, run_real_demo
from uniseg_nets.demo.cases import DemoCase, segment_cases
from uniseg_nets.demo.table import as_text
from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.io.files import read_json
from uniseg_nets.tasks import load_task_table


@pytest.fixture
def cases():
    return read_json(bundle_folder("uniseg_upstream") / "docs" / "open_cases.json")


@pytest.fixture
def decathlon(tmp_path, cases, write_scan):
    """An unpacked archive of hippocampi: one that trained the weights, one that was held, one that is new."""
    root = tmp_path / "demo" / "raw" / "Task04_Hippocampus"
    names = [cases["hippocampus"][part][0] for part in ("training", "held")] + ["hippocampus_new"]
    volume = np.random.default_rng(0).normal(100, 20, (36, 50, 36)).astype(np.float32)
    label = np.zeros(volume.shape, np.uint8)
    label[10:20, 10:25, 10:20], label[10:20, 25:40, 10:20] = 1, 2
    for folder, content in (("imagesTr", volume), ("labelsTr", label)):
        (root / folder).mkdir(parents=True)
        (root / folder / "._hippocampus_new.nii.gz").write_text("a Mac's")
        for name in names:
            nib.save(nib.Nifti1Image(content, np.eye(4)), root / folder / f"{name}.nii.gz")
    return names


def test_the_real_demo_takes_cases_that_did_not_train_the_weights(decathlon, tmp_path):
    trained, *new = decathlon
    text = run_real_demo(tmp_path / "demo")
    rows = json.loads((tmp_path / "demo" / "results.json").read_text())
    assert {row["case"] for row in rows} == set(new) and trained not in text
    assert {row["class"] for row in rows} == {"anterior_hippocampus", "posterior_hippocampus"}
    assert all(0 <= row["dice"] <= 1 for row in rows)
    assert Image.open(tmp_path / "demo" / "preview.png").size[0] > 500


def test_cases_of_training_and_held_ones_are_apart_and_a_patient_is_on_one_side(cases):
    assert list(cases) == [task.name for task in load_task_table("open")]
    for sides in cases.values():
        assert sides["training"] and sides["held"] and not set(sides["training"]) & set(sides["held"])
    patients = [{name.rpartition("_")[0] for name in names} for names in cases["left_ventricle"].values()]
    assert not patients[0] & patients[1]


def test_without_nilearn_the_phantoms_are_segmented_and_what_to_install_is_said(monkeypatch, tmp_path, caplog):
    monkeypatch.setitem(sys.modules, "nilearn.datasets", None)
    monkeypatch.setattr("uniseg_nets.demo.segment_phantoms", lambda output: ([], []))
    run_demo(tmp_path)
    assert "`pip install nilearn`" in caplog.text and (tmp_path / "results.json").read_text().strip() == "[]"


def test_a_case_without_reference_has_volumes_alone(tmp_path, write_scan):
    scan = write_scan("scan.nii.gz", np.random.default_rng(0).normal(100, 20, (36, 50, 36)).astype(np.float32))
    task = load_task_table("open").one("hippocampus")
    rows, (picture,) = segment_cases([DemoCase("left side", [str(scan)])], task, tmp_path, ["open.json"])
    found = np.asarray(nib.load(tmp_path / "label_maps" / "hippocampus" / "left_side.nii.gz").dataobj)
    assert [row["volume_ml"] * 1000 for row in rows] == pytest.approx([(found == 1).sum(), (found == 2).sum()])
    assert picture.reference is None and all("dice" not in row for row in rows)
    assert as_text(rows).splitlines()[1].split()[-1] == "-"
