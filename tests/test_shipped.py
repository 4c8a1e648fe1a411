"""The open weights: what the package holds, and that a task's name finds them."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

from tests.test_plan import write_case
from uniseg_nets import Segmenter
from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.io.files import sha256_of
from uniseg_nets.tasks import load_task_table
from uniseg_nets.weights.checkpoints import convert, read_weights
from uniseg_nets.weights.licence import OPEN_TERMS, terms_of
from uniseg_nets.weights.shipped import OPEN, needed_by


@pytest.fixture(scope="module")
def weights() -> Path:
    return bundle_folder("uniseg_upstream") / "models" / OPEN.file


@pytest.fixture
def scan(write_scan):
    return write_scan("scan.nii.gz", np.random.default_rng(0).normal(100, 20, (36, 50, 36)).astype(np.float32))


def test_the_open_weights_are_small_whole_and_under_their_own_terms(weights):
    assert weights.stat().st_size < 12e6
    digest, name = weights.with_name(weights.name + ".sha256").read_text().split()
    assert (digest, name) == (sha256_of(weights), weights.name)
    assert terms_of(weights) == OPEN_TERMS
    assert read_weights(weights).sizes["num_tasks"] == len(load_task_table(OPEN.table))


def test_a_training_goes_on_from_the_open_weights_with_larger_patches(weights):
    root = bundle_folder("uniseg_upstream")
    parser = ConfigParser()
    parser.read_config([str(root / "configs" / name) for name in ("train.json", "open.json", "open_continue.json")])
    parser.update({"bundle_root": str(root), "patch_size": [32, 128, 160], "initial_weights": str(weights)})
    parser["device"] = torch.device("cpu")
    network, known = parser.get_parsed_content("network").state_dict(), read_weights(weights).state
    assert network["task_prompts.universal"].shape[2:] == (2, 4, 5)
    assert all(torch.equal(network[name], known[name]) for name in known if name != "task_prompts.universal")


def test_numbers_of_16_bits_are_read_as_32(weights, tmp_path):
    stored = torch.load(weights, weights_only=True)
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    read = read_weights(weights).state
    assert {tensor.dtype for tensor in read.values()} == {torch.float32}
    convert(weights, tmp_path / "wide.pt")
    convert(tmp_path / "wide.pt", tmp_path / "half.pt", half=True)
    again = torch.load(tmp_path / "half.pt", weights_only=True)
    assert all(torch.equal(again[name], tensor) for name, tensor in stored.items())


def test_numbers_too_large_for_16_bits_are_refused(weights, tmp_path):
    state = dict(read_weights(weights).state)
    state["decoder.heads.4.weight"] = state["decoder.heads.4.weight"] + 1e5
    torch.save(state, tmp_path / "large.pt")
    with pytest.raises(ValueError, match=r"decoder\.heads\.4\.weight has numbers that 16 bits cannot hold"):
        convert(tmp_path / "large.pt", tmp_path / "half.pt", half=True)
    assert not (tmp_path / "half.pt").exists()


def test_a_task_s_name_finds_the_open_weights_in_command_and_python(uniseg, scan, weights, tmp_path):
    assert uniseg("segment", scan, tmp_path / "out.nii.gz", "--task", "hippocampus", "--overlap", "0.25") == 0
    about = json.loads((tmp_path / "out.json").read_text())
    assert about["weights_sha256"] == sha256_of(weights) and about["task"] == "hippocampus"
    segmenter = Segmenter("uniseg_upstream", task="hippocampus", overlap=0.25)
    assert segmenter.labels == {0: "background", 1: "anterior_hippocampus", 2: "posterior_hippocampus"}
    assert np.array_equal(segmenter(scan), np.asarray(nib.load(tmp_path / "out.nii.gz").dataobj))


def test_chosen_weights_and_tables_stay(tmp_path):
    config = {"tasks_file": None}
    assert needed_by("liver", config, {}, tmp_path) == {}
    assert needed_by("hippocampus", config, {}, tmp_path) == {
        "tasks_file": "open",
        "weights": str(tmp_path / "models" / "open.pt"),
    }
    assert needed_by("hippocampus", config, {"weights": "own.pt"}, tmp_path) == {"tasks_file": "open"}
    assert needed_by("hippocampus", config, {"tasks_file": "own.json"}, tmp_path) == {}
    assert needed_by("hippocampus", {"tasks_file": "own.json"}, {}, tmp_path) == {}
    assert needed_by("hippocampus", {"task_entry": {}}, {}, tmp_path) == {}


def test_a_wrong_name_is_answered_from_the_table_that_is_nearest(uniseg, scan, tmp_path, caplog):
    assert uniseg("segment", scan, tmp_path / "out.nii.gz", "--task", "hipocampus") == 1
    assert "did you mean 'hippocampus'" in caplog.text


def test_the_list_of_tasks_says_which_weights_know_them(uniseg, capsys):
    assert uniseg("tasks") == 0
    official, _, opened = capsys.readouterr().out.partition("weights 'open'")
    assert "uniseg fetch-weights" in official and "liver_tumour (2)" in official and "hippocampus" not in official
    assert "CC BY-SA 4.0" in opened and "anterior_hippocampus (1)" in opened


def test_a_plan_starts_from_the_open_weights_by_their_name(uniseg, weights, tmp_path):
    for index in range(2):
        write_case(tmp_path / "data", f"case{index}", seed=index)
    assert uniseg("plan", tmp_path / "data", "--out", tmp_path / "plan.json", "--weights", "open") == 0
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert plan["pretrained"] == str(weights.resolve()) and plan["pretrained_license"] == OPEN_TERMS
