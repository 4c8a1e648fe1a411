"""What the bundles' results record, read from their configs without building a network."""

import inspect
import json

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

from tests.test_results import case_of, run
from uniseg_nets.inferers import UniSegInferer
from uniseg_nets.io.bundles import bundle_folder

INFERENCE, EVALUATION = ("inference.json",), ("train.json", "evaluate.json")


def saver(bundle, configs, folder, **overrides):
    """The part of a bundle's config that writes results, anew."""
    root = bundle_folder(bundle)
    parser = ConfigParser()
    parser.read_config([str(root / "configs" / config) for config in configs])
    weights = folder / "model.pt"
    weights.write_bytes(b"weights")
    parser.update({"output_dir": str(folder / "out"), "weights": str(weights), "device": torch.device("cpu")})
    parser.update({"bundle_root": str(root), **overrides})
    return parser.get_parsed_content("validate#saver" if "evaluate.json" in configs else "saver")


def config(bundle, name):
    return json.loads((bundle_folder(bundle) / "configs" / name).read_text())


@pytest.fixture
def case(write_scan):
    return case_of(write_scan("case1.nii", np.ones((8, 8, 8), dtype=np.int16)))


@pytest.mark.parametrize("configs", [INFERENCE, EVALUATION])
def test_a_retrained_centre_segments_and_is_evaluated_anew(tmp_path, case, configs):
    folder = "centres_dir" if configs == INFERENCE else "evaluated_centres"
    centre = tmp_path / "north.pt"
    case["task"] = 0

    def computed():
        options = {"centre": "north", folder: str(tmp_path)}
        return run(saver("unetr_prompt_tuning", configs, tmp_path, **options), case)

    centre.write_bytes(b"first")
    assert computed() == ["case1"] and computed() == []
    centre.write_bytes(b"other")
    assert computed() == ["case1"]


@pytest.mark.parametrize("bundle", ["uniseg_upstream", "uniseg_finetune"])
@pytest.mark.parametrize("mode", ["balanced", "accurate", "fast"])
def test_a_result_records_its_mode_runtime_and_precision_as_they_became(tmp_path, case, bundle, mode, monkeypatch):
    monkeypatch.setattr("uniseg_nets.runtimes.choose._has_bfloat16", lambda device: False)
    overlay = () if mode == "balanced" else (f"{mode}.json",)
    options = {"task": "liver"} if bundle == "uniseg_upstream" else {}
    made = saver(bundle, INFERENCE + overlay, tmp_path, runtime="torch", precision="auto", **options)
    run(made, case)
    record = json.loads(made.targets(case)[1].read_text())
    assert record["mode"] == mode and record["computed"] == {"runtime": "torch", "precision": "fp32"}
    assert len(record["patch_size"]) == 3


def test_windows_overlap_by_the_same_share_by_default_in_every_bundle():
    default = inspect.signature(UniSegInferer).parameters["overlap"].default
    for bundle in ("uniseg_upstream", "uniseg_finetune", "unetr_prompt_tuning"):
        inference, evaluation = (config(bundle, name) for name in ("inference.json", "evaluate.json"))
        assert inference["displayable_configs"]["overlap"] == evaluation["overlap"] == default, bundle


@pytest.mark.parametrize("bundle", ["uniseg_upstream", "uniseg_finetune"])
def test_the_accurate_mode_has_the_official_overlap_whatever_the_default(bundle):
    assert config(bundle, "accurate.json")["overlap"] == 0.5


def test_a_mask_records_how_it_was_computed(tmp_path):
    made = saver("esp_medsam_2d", INFERENCE, tmp_path, runtime="torch", precision="fp32")
    assert made.provenance({})["computed"] == {"runtime": "torch", "precision": "fp32"}
    assert made.provenance({})["image_size"] == 1024
