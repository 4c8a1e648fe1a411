"""The open 2D weights: what the package holds, and that ``segment-2d`` takes them by itself."""

import json
import shutil

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.metrics import compute_dice
from PIL import Image

from benchmarks.open_weights_2d.data import SETS, sections_of
from tests.running import copied
from uniseg_nets.cli import images_2d
from uniseg_nets.image2d.load import read_mask
from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.io.files import read_json, sha256_of
from uniseg_nets.phantom import write_phantom_pictures
from uniseg_nets.weights.checkpoints import read_state
from uniseg_nets.weights.esp_medsam import kinds_in, modalities_in
from uniseg_nets.weights.licence import OPEN_2D_TERMS, terms_of, terms_text
from uniseg_nets.weights.shipped import OPEN_2D


@pytest.fixture(scope="module")
def bundle():
    return bundle_folder("esp_medsam_2d")


@pytest.fixture(scope="module")
def weights(bundle):
    return bundle / "models" / OPEN_2D.file


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    write_phantom_pictures(folder)
    return folder / "images" / "ultrasound_00000.png"


@pytest.fixture
def installed(weights, tmp_path, monkeypatch):
    """The bundle as it is installed: without weights of its user."""
    root = copied(weights.parents[1], tmp_path)
    shutil.copy(weights, root / "models")
    monkeypatch.setattr(images_2d, "bundle_folder", lambda name: root)
    return root


def test_the_open_weights_are_small_whole_and_under_their_own_terms(bundle, weights):
    assert weights.stat().st_size < 15e6
    digest, name = weights.with_name(weights.name + ".sha256").read_text().split()
    assert (digest, name) == (sha256_of(weights), weights.name)
    assert terms_of(weights) == OPEN_2D_TERMS and (bundle / OPEN_2D_TERMS).read_text() == terms_text(OPEN_2D_TERMS)
    assert modalities_in(weights) == read_json(bundle / "configs" / "open.json")["modalities"] == list(SETS)


def test_numbers_of_16_bits_are_read_as_32_and_the_recogniser_has_32(weights):
    stored = torch.load(weights, weights_only=True)
    recogniser = {name for name in stored if name.startswith("recogniser.")}
    assert {stored[name].dtype for name in recogniser} == {torch.float32}
    floats = {name for name, tensor in stored.items() if tensor.is_floating_point()}
    assert {stored[name].dtype for name in floats - recogniser} == {torch.float16}
    read, _ = read_state(weights)
    assert {read[name].dtype for name in floats} == {torch.float32}


def test_images_are_segmented_by_the_open_weights_where_a_user_has_none(uniseg, installed, image, tmp_path):
    assert uniseg("segment-2d", image, tmp_path / "out", "--modality", "ultrasound") == 0
    about = json.loads((tmp_path / "out" / "ultrasound_00000.json").read_text())
    assert about["weights_sha256"] == sha256_of(installed / "models" / OPEN_2D.file) and about["image_size"] == 256
    assert Image.open(tmp_path / "out" / "ultrasound_00000_mask.png").size == Image.open(image).size


def test_a_user_s_own_weights_come_first(uniseg, installed, image, tmp_path, caplog):
    (installed / "models" / "model.pt").write_text("no weights")
    assert uniseg("segment-2d", image, tmp_path / "out") == 1
    assert "model.pt cannot be read" in caplog.text


def test_own_weights_that_tell_kinds_apart_are_read_with_their_number(uniseg, installed, weights, image, tmp_path):
    assert (kinds_in(weights), kinds_in(None)) == (6, 1)
    shutil.copy(weights, installed / "models" / "model.pt")
    assert uniseg("segment-2d", image, tmp_path / "out", "--modality", "ultrasound", "--small") == 0
    assert (tmp_path / "out" / "ultrasound_00000_mask.png").is_file()


def test_flags_of_own_weights_are_not_answered_by_the_open_ones(uniseg, installed, image, tmp_path, caplog):
    for flag in ("--small", "--release"):
        assert uniseg("segment-2d", image, tmp_path / "out", "--modality", "ultrasound", flag) == 1
        assert "no weights at" in caplog.text
        caplog.clear()
    assert uniseg("segment-2d", image, tmp_path / "out", "--weights", "open", "--release") == 1
    assert "--release is for other weights, not for open" in caplog.text


def test_a_modality_that_the_open_weights_do_not_know_is_refused_at_once(uniseg, installed, image, tmp_path, caplog):
    assert uniseg("segment-2d", image, tmp_path / "out", "--modality", "fundus") == 1
    assert "--modality is fundus" in caplog.text and "ultrasound, microscopy" in caplog.text
    assert not (tmp_path / "out").exists()


def test_demo_weights_are_taken_by_name_with_a_warning(uniseg, image, tmp_path, caplog):
    assert uniseg("segment-2d", image, tmp_path / "out", "--weights", "demo") == 0
    assert "demo weights" in caplog.text
    assert json.loads((tmp_path / "out" / "ultrasound_00000.json").read_text())["modality"] == "ultrasound"


def test_what_is_trained_from_the_open_weights_carries_their_terms(bundle, weights, image, tmp_path):
    parser = ConfigParser()
    parser.read_config([str(bundle / "configs" / name) for name in ("train.json", "small.json", "open.json")])
    parser.update({"base_weights": str(weights), "datalist": str(image.parents[1] / "datalist.json")})
    assert parser.get_parsed_content("train#handlers#4#pretrained_license") == OPEN_2D_TERMS


def test_metrics_in_the_metadata_are_those_of_the_model_card(bundle):
    metrics = read_json(bundle / "configs" / "metadata.json")["eval_metrics"]["mean_dice"]
    card = (bundle / "docs" / "open_weights.md").read_text()
    assert list(metrics) == list(SETS)
    assert all(f"| {modality} | " in card and f"| {dice:.3f} (" in card for modality, dice in metrics.items())


def test_the_split_is_that_of_the_shipped_weights(test_data, bundle):
    drawn = sections_of(test_data / "data" / "images_2d")
    names = {section: {entry["image"].split("/")[-1] for entry in drawn[section]} for section in drawn}
    assert not names["training"] & names["validation"]
    shipped = read_json(bundle / "docs" / "open_cases.json")
    for section, key in (("training", "training"), ("validation", "held")):
        assert names[section] == {f"{name}.jpg" for modality in SETS for name in shipped[modality][key]}


@pytest.mark.parametrize(("modality", "lowest"), [("ultrasound", 0.8), ("microscopy", 0.7)])
def test_real_images_that_were_held_out_are_recognised_and_segmented(
    uniseg, test_data, bundle, tmp_path, modality, lowest
):
    source = test_data / "data" / "images_2d" / SETS[modality]
    held = read_json(bundle / "docs" / "open_cases.json")[modality]["held"][:5]
    (tmp_path / "in").mkdir()
    for name in held:
        shutil.copy(source / "images" / f"{name}.jpg", tmp_path / "in")
    assert uniseg("segment-2d", tmp_path / "in", tmp_path / "out", "--weights", "open", "--modality", modality) == 0
    masks = [(tmp_path / "out" / f"{name}_mask.png", source / "masks" / f"{name}.png") for name in held]
    dice = [compute_dice(*(torch.from_numpy(read_mask(path))[None] for path in pair)).item() for pair in masks]
    assert np.mean(dice) > lowest
