"""A shared transformer, a new centre and its file of prompts, by the bundle command."""

import json

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

from tests.running import run
from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.phantom import write_phantom_tasks
from uniseg_nets.weights.checkpoints import save_weights
from uniseg_nets.weights.freezing import base_of
from uniseg_nets.weights.licence import OPEN_TERMS, terms_of

TINY = {
    "network_def#feature_size": 4,
    "network_def#hidden_size": 48,
    "network_def#mlp_dim": 96,
    "network_def#num_heads": 4,
    "patch_size": [32, 64, 64],
}
SHORT = TINY | {"max_epochs": 1, "batches_per_epoch": 4, "val_interval": 1, "num_workers": 0}


@pytest.fixture(scope="session")
def bundle():
    return bundle_folder("unetr_prompt_tuning")


def test_a_base_is_trained_a_centre_tuned_and_both_segment(copy, tmp_path, table):
    write_phantom_tasks(tmp_path / "data", [table.one("whole_body_tumour")], 2, validation=1)
    task = {"name": "whole_body_tumour", "channels": ["CT", "PET"], "spacing": [8, 4, 4], "classes": ["tumour"]}
    (tmp_path / "tasks.json").write_text(json.dumps({"tasks": [task]}))
    data = {"dataset_dir": tmp_path / "data", "tasks_file": tmp_path / "tasks.json"}
    datalist = tmp_path / "data" / "datalist.json"
    content = json.loads(datalist.read_text())
    for case in content["training"]:
        del case["task"]  # a table of one task needs no name; the cases for validation have it, as `prepare` writes it
    datalist.write_text(json.dumps(content))
    run("run", copy, ["train.json", "train_base.json"], **SHORT, **data)
    base = torch.load(copy / "models" / "model.pt", weights_only=True)
    log = run("run", copy, ["train.json"], centre="north", num_prompts=2, **SHORT, **data)
    assert "training 1,152 of" in log
    centre = torch.load(copy / "models" / "centres" / "north.pt", weights_only=True)
    assert {name: tuple(tensor.shape) for name, tensor in centre.items()} == {"vit.prompts": (12, 2, 48)}
    assert len((copy / "models" / "centres" / "north.pt.base").read_text().strip()) == 64
    after = torch.load(copy / "models" / "model.pt", weights_only=True)
    assert all(torch.equal(tensor, after[name]) for name, tensor in base.items())
    scans = {"dataset_dir": tmp_path / "data" / "whole_body_tumour", "tasks_file": tmp_path / "tasks.json"}
    for name in ("none", "north"):
        run("run", copy, ["inference.json"], centre=name, output_dir=tmp_path / name, **TINY, **scans)
        (found, *_) = sorted((tmp_path / name).glob("*.nii.gz"))
        assert set(np.unique(nib.load(found).get_fdata())) <= {0, 1}
        assert json.loads(found.with_name(found.name.replace(".nii.gz", ".json")).read_text())["centre"] == name
    log = run("run", copy, ["train.json", "evaluate.json"], centre="north", **TINY, **data)
    assert (copy / "eval" / "north" / "summary.csv").is_file(), log


def test_a_centre_s_file_has_the_terms_of_its_base(bundle, tmp_path):
    parser = ConfigParser()
    parser.read_config(str(bundle / "configs" / "train.json"))
    parser.update({**TINY, "bundle_root": str(bundle), "num_prompts": 0, "base_weights": str(tmp_path / "base.pt")})
    base = parser.get_parsed_content("network_def")
    save_weights(base.state_dict(), tmp_path / "base.pt", terms=OPEN_TERMS)
    parser.update({"num_prompts": 2, "validate#evaluator": None})
    parser.parse(True)
    (number,) = [i for i, one in enumerate(parser["train#handlers"]) if one["_target_"].endswith(".WeightFiles")]
    parser.get_parsed_content(f"train#handlers#{number}")._save(tmp_path / "north.pt")
    assert terms_of(tmp_path / "north.pt") == OPEN_TERMS and base_of(tmp_path / "north.pt") is not None
