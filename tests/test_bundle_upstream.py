"""The bundle as its users run it: a copy elsewhere, by the command, from any working directory."""

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow, load

from tests.running import run, run_on_two_ranks
from uniseg_nets.phantom import write_phantom_tasks, write_phantoms
from uniseg_nets.runtimes.choose import resolve_runtime

DEMO = ["inference.json", "demo.json"]


@pytest.fixture
def copy(copy, demo_weights) -> Path:
    """With the demo weights, as its model too."""
    for name in ("demo.pt", "model.pt"):
        shutil.copy(demo_weights, copy / "models" / name)
    return copy


def test_metadata_name_the_union_of_all_labels(bundle, table):
    data = json.loads((bundle / "configs" / "metadata.json").read_text())["network_data_format"]
    assert next(iter(data["inputs"])) == "image" and next(iter(data["outputs"])) == "pred"
    assert data["outputs"]["pred"]["channel_def"] == {str(value): name for value, name in table.labels.items()}


def test_the_menu_of_tasks_is_the_table_s(bundle, table):
    config = json.loads((bundle / "configs" / "inference.json").read_text())
    assert config["displayable_configs"]["task"] == table.choices


def test_the_bundle_runs_from_its_own_folder(copy, tmp_path, table):
    (name,) = write_phantoms(tmp_path / "scans", table.one("whole_body_tumour"), 1, seed=7)
    run("run", copy, DEMO, dataset_dir=tmp_path / "scans", task="whole_body_tumour", output_dir=tmp_path / "out")
    found = np.asarray(nib.load(tmp_path / "out" / f"{name}.nii.gz").dataobj) == 17
    truth = np.asarray(nib.load(tmp_path / "scans" / "labelsTr" / f"{name}.nii.gz").dataobj) == 1
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.5


def test_the_bundle_runs_from_another_working_directory(copy, tmp_path, table):
    write_phantoms(tmp_path / "scans", table.one("prostate"), 1, seed=7)
    options = {"dataset_dir": "scans", "task": "prostate", "output_dir": "out", "bundle_root": copy}
    log = run("run", tmp_path, DEMO, folder=copy / "configs", **options)
    assert (tmp_path / "out" / "prostate_0007.nii.gz").is_file(), log
    assert "finished already" in run("run", tmp_path, DEMO, folder=copy / "configs", **options)


TINY = {"patch_size": [16, 64, 32], "network_def#base_features": 4, "network_def#max_features": 8}
SHORT = TINY | {"batches_per_task": 2, "val_interval": 1, "num_workers": 0, "fingerprint_cases": 0}
TRAIN = ["train.json", "small.json"]


@pytest.fixture
def data(tmp_path, table):
    """Two tasks of two and one patients."""
    write_phantom_tasks(tmp_path / "data", [table.one("prostate"), table.one("whole_body_tumour")], 2, validation=1)
    return {"dataset_dir": tmp_path / "data", "ckpt_dir": tmp_path / "w", "output_dir": tmp_path / "runs"}


def test_a_training_resumes_evaluates_and_predicts(copy, tmp_path, data):
    run("run", copy, TRAIN, max_epochs=1, **SHORT, **data)
    newest = tmp_path / "w" / "checkpoint_epoch=1.pt"
    log = run("run", copy, TRAIN, max_epochs=2, resume=True, **SHORT, **data)
    assert f"resuming after epoch 1 from {newest}" in log and re.search(r"epoch 2/2: mean loss [\d.]+ of 4 steps", log)
    assert "epoch 1/2" not in log and "%|" not in log  # no bar in a file
    evaluation = data | {"output_dir": tmp_path / "eval"}
    log = run("run", copy, [*TRAIN, "evaluate.json"], runtime="auto", **TINY, **evaluation)
    assert f"runtime {resolve_runtime('auto', 'fp32', torch.device('cpu'))[0]}, fp32" in log
    rows = (tmp_path / "eval" / "summary.csv").read_text().splitlines()
    assert rows[0].startswith("task,class,cases,dice") and {row.split(",")[0] for row in rows[1:]} == {
        "prostate",
        "whole_body_tumour",
    }
    options = {
        "weights": tmp_path / "w" / "model.pt",
        "task": "prostate",
        "dataset_dir": tmp_path / "data" / "prostate",
    }
    log = run("run", copy, ["inference.json"], output_dir=tmp_path / "out", **options, **TINY)
    assert len(list((tmp_path / "out").glob("*.nii.gz"))) == 3, log


def test_training_and_inference_see_the_same_input(copy, tmp_path, data, table):
    options = {"logging_file": False, "bundle_root": str(copy), **{key: str(value) for key, value in data.items()}}
    train = ConfigWorkflow(str(copy / "configs" / "train.json"), workflow_type="train", **options, **SHORT)
    train.parser["cache_dir"] = str(tmp_path / "cache")
    trained = train.parser.get_parsed_content("validate#dataset").preprocessed(0)["image"]
    options["dataset_dir"] = str(tmp_path / "data" / "prostate" / "imagesTr")
    infer = ConfigWorkflow(
        str(copy / "configs" / "inference.json"), workflow_type="inference", task="prostate", **options, **TINY
    )
    seen = infer.parser.get_parsed_content("preprocessing")(infer.parser.get_parsed_content("cases")[2])["image"]
    assert torch.equal(trained, seen.as_tensor())


@pytest.mark.slow
def test_a_training_killed_in_mid_epoch_goes_on(copy, tmp_path, data):
    options = SHORT | {"batches_per_task": 8, "max_epochs": 3} | data
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", str([f"configs/{name}" for name in TRAIN])]
    command += [word for name, value in options.items() for word in (f"--{name}", str(value))]
    first = tmp_path / "w" / "checkpoint_epoch=1.pt"
    with subprocess.Popen(command, cwd=copy, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while not first.is_file():
            assert process.poll() is None
            time.sleep(0.1)
        time.sleep(1)
        process.kill()
    assert not (tmp_path / "w" / "checkpoint_epoch=3.pt").exists()
    log = run("run", copy, TRAIN, resume=True, **options)
    assert re.search(r"resuming after epoch [12] from", log) and "epoch 1/3" not in log
    assert (tmp_path / "w" / "checkpoint_epoch=3.pt").is_file()


@pytest.mark.slow
def test_two_processes_train_like_one_with_double_batches(copy, tmp_path, data):
    short = {key: value for key, value in SHORT.items() if key != "batches_per_task"}
    options = short | {"max_epochs": 2, "batches_per_task": 6, "seed": 3}

    def losses(log):
        return [float(value) for value in re.findall(r"epoch \d/2: mean loss ([0-9.]+) of 12 steps", log)]

    one = losses(run("run", copy, TRAIN, batch_size=4, **options, **data | {"ckpt_dir": tmp_path / "one"}))
    two = run_on_two_ranks(copy, [*TRAIN, "multi_gpu_train.json"], **options, **data | {"ckpt_dir": tmp_path / "two"})
    two = losses(two)
    assert len(one) == 2 and len(two) == 4  # two ranks log each their half of the batch
    assert np.mean(two) == pytest.approx(np.mean(one), rel=0.05)
    assert (tmp_path / "two" / "checkpoint_epoch=2.pt").is_file()


def test_the_network_loads_by_monai_s_load(copy, demo_weights):
    config = copy / "configs" / "inference.json"
    overlay = json.loads((copy / "configs" / "demo.json").read_text())
    content = json.loads(config.read_text())
    content["network_def"] |= {name: overlay[f"network_def#{name}"] for name in ("base_features", "max_features")}
    content["patch_size"] = overlay["patch_size"]
    config.write_text(json.dumps(content))
    network = load(copy.name, bundle_dir=str(copy.parent), workflow_type="inference")
    expected = torch.load(demo_weights, weights_only=True)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in network.state_dict().items())
