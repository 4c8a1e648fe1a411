"""What the model zoo asks of every bundle, by the bundle command, in a copy outside the project."""

import json
import re
import shutil
import subprocess
import sys

import jsonschema
import onnx
import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow, download_large_files, load

from tests.running import copied, run
from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.io.files import sha256_of
from uniseg_nets.phantom import write_phantom_pictures, write_phantom_tasks
from uniseg_nets.tasks import load_task_table
from uniseg_nets.weights.checkpoints import save_weights

# Each bundle's small network; full-size ones take minutes to export.
SMALL = {
    "uniseg_upstream": {"patch_size": [32, 96, 96], "network_def#base_features": 8, "network_def#max_features": 96},
    "uniseg_finetune": {"patch_size": [32, 64, 64], "network_def#base_features": 4, "network_def#max_features": 8},
    "unetr_prompt_tuning": {
        "patch_size": [32, 64, 64],
        "network_def#feature_size": 4,
        "network_def#hidden_size": 48,
        "network_def#mlp_dim": 96,
        "network_def#num_heads": 4,
    },
    "esp_medsam_2d": {
        "image_size": 64,
        "network_def#sizes": {"channels": [8, 16, 20, 40], "heads": [1, 2, 2, 4], "embedding": 32, "decoder_heads": 4},
    },
}


@pytest.mark.parametrize("name", SMALL)
def test_metadata_fit_the_zoo_s_schema(name, test_data):
    schema = json.loads((test_data / "schema" / "meta_schema_20240725.json").read_text())
    jsonschema.validate(json.loads((bundle_folder(name) / "configs" / "metadata.json").read_text()), schema)


@pytest.mark.parametrize("name", SMALL)
def test_a_bundle_has_what_the_zoo_s_newest_ones_have(name):
    folder = bundle_folder(name)
    expected = {"multi_gpu_train.json", "multi_gpu_evaluate.json", "evaluate.json", "logging.conf", "metadata.json"}
    assert expected <= {path.name for path in (folder / "configs").iterdir()}
    assert (folder / "LICENSE").is_file() and (folder / "docs" / "data_license.txt").is_file()


@pytest.mark.parametrize("name", SMALL)
def test_every_large_file_that_a_bundle_names_can_be_fetched_and_checked(name):
    folder = bundle_folder(name)
    listed = ConfigParser.load_config_file(folder / "large_files.yml")["large_files"]
    assert all(one["url"] and one["hash_val"] for one in listed)
    download_large_files(str(folder))
    for weights in folder.glob("models/*.pt"):
        if weights.stem in ("demo", "open"):  # inside, and so not named
            assert weights.with_name(f"{weights.name}.sha256").read_text().startswith(sha256_of(weights))


def test_labels_in_a_bundle_s_documents_are_those_of_the_tables(bundle):
    labels = json.loads((bundle / "docs" / "labels.json").read_text())
    for name, table in (("official", load_task_table()), ("open", load_task_table("open"))):
        assert labels.pop(name) == {str(v): c for task in table for v, c in zip(task.values, task.classes)}
    assert not labels


def test_figures_in_the_metadata_are_those_of_the_model_card(bundle):
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    card = (bundle / "docs" / "open_weights.md").read_text()
    rows = re.findall(r"^\| \w+ \| (\w+) \| \d+ \(\d+\) \| ([0-9.]+) \|", card, re.MULTILINE)
    assert metadata["eval_metrics"]["mean_dice"] == {name: float(dice) for name, dice in rows}
    assert set(dict(rows)) == {name for task in load_task_table("open") for name in task.classes}


@pytest.fixture(params=SMALL)
def copy(request, tmp_path):
    """The bundle elsewhere, with a small network in its configs, its weights, and metadata of its patch."""
    name = request.param
    target = copied(bundle_folder(name), tmp_path)
    for config in ("inference.json", "train.json"):
        path = target / "configs" / config
        parser = ConfigParser(json.loads(path.read_text()))
        for key, value in SMALL[name].items():
            parser[key] = value
        path.write_text(json.dumps(parser.get()))
    path = target / "configs" / "metadata.json"
    metadata = json.loads(path.read_text())
    for side in (
        metadata["network_data_format"]["inputs"]["image"],
        metadata["network_data_format"]["outputs"]["pred"],
    ):
        side["spatial_shape"] = SMALL[name].get("patch_size", [64, 64])
    path.write_text(json.dumps(metadata))
    inference = ConfigParser(json.loads((target / "configs" / "inference.json").read_text()))
    inference["bundle_root"] = str(target)
    network = inference.get_parsed_content("network_def")
    save_weights(network.state_dict(), target / "models" / "model.pt")
    return target


def test_the_inference_has_the_properties_that_tools_ask_for(copy, tmp_path):
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / ("a.png" if copy.name == "esp_medsam_2d" else "a.nii.gz")).touch()
    options = {"bundle_root": str(copy), "dataset_dir": str(tmp_path / "scans"), "output_dir": str(tmp_path / "out")}
    if copy.name == "uniseg_finetune":
        options["weights"] = [str(copy / "models" / "model.pt")]
    workflow = ConfigWorkflow(
        str(copy / "configs" / "inference.json"), workflow_type="inference", logging_file=False, **options
    )
    workflow.initialize()
    assert not workflow.check_properties()


def test_a_server_builds_the_transforms_without_a_data_set(copy):
    config = ConfigParser(json.loads((copy / "configs" / "inference.json").read_text()))
    config.update({"bundle_root": str(copy), "dataset_dir": "nowhere"})
    for name in ("preprocessing", "postprocessing"):
        assert config.get_parsed_content(name).transforms


def test_the_training_has_the_properties_that_tools_ask_for(copy, tmp_path, table):
    if copy.name == "esp_medsam_2d":
        write_phantom_pictures(tmp_path / "data", 1, validation=1)
    else:
        write_phantom_tasks(tmp_path / "data", [table.one("whole_body_tumour")], 1, validation=1)
    options = {"bundle_root": str(copy), "dataset_dir": str(tmp_path / "data"), "num_workers": 0}
    entry = {"name": "whole_body_tumour", "channels": ["CT", "PET"], "spacing": [8, 4, 4], "classes": ["tumour"]}
    if copy.name == "uniseg_finetune":
        datalist = json.loads((tmp_path / "data" / "datalist.json").read_text())
        cases = [case | {"name": str(i)} for i, case in enumerate(datalist["training"] + datalist["validation"])]
        options |= {"task_entry": entry, "data": [case | {"fold": fold} for fold, case in enumerate(cases)]}
    if copy.name == "unetr_prompt_tuning":
        (tmp_path / "tasks.json").write_text(json.dumps({"tasks": [entry]}))
        options |= {"tasks_file": str(tmp_path / "tasks.json"), "base_weights": None}
    workflow = ConfigWorkflow(
        str(copy / "configs" / "train.json"), workflow_type="train", logging_file=False, **options
    )
    workflow.initialize()
    assert not workflow.check_properties()


def test_a_bundle_is_loaded_by_name_without_data_and_leaves_nothing_behind(copy, tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    # This one reads its tasks from a file beside its config.
    told = {"bundle_root": str(copy)} if copy.name == "unetr_prompt_tuning" else None
    network = load(copy.name, bundle_dir=str(copy.parent), args_file=told)
    state = torch.load(copy / "models" / "model.pt", weights_only=True)
    other = [name for name, tensor in network.state_dict().items() if not torch.equal(tensor, state[name])]
    # The shared weights hold no prompts; those of the network are for a new centre to learn.
    assert other == (["vit.prompts"] if copy.name == "unetr_prompt_tuning" else [])
    assert not list((tmp_path / "work").iterdir()) and not (copy / "runs").exists()


def test_a_bundle_is_loaded_where_requests_is_not_installed(copy):
    told = {"bundle_root": str(copy)} if copy.name == "unetr_prompt_tuning" else None
    code = (
        "import sys; sys.modules['requests'] = None\n"
        "from monai.bundle import load, scripts\n"
        f"network = load({copy.name!r}, bundle_dir={str(copy.parent)!r}, args_file={told!r})\n"
        "print(scripts.has_requests, len(network.state_dict()) > 0)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.stdout.split()[-2:] == ["False", "True"], found.stderr[-2000:]


@pytest.mark.slow
def test_the_zoo_s_verbs_pass(copy, test_data):
    (copy / "eval").mkdir()
    shutil.copy(test_data / "schema" / "meta_schema_20240725.json", copy / "eval" / "schema.json")
    command = [sys.executable, "-m", "monai.bundle", "verify_metadata", "--filepath", "eval/schema.json"]
    subprocess.run([*command, "--meta_file", "configs/metadata.json"], cwd=copy, check=True)
    config, meta = ["inference.json"], {"meta_file": "configs/metadata.json", "net_id": "network_def"}
    run("verify_net_in_out", copy, config, **meta)
    own = {"weights": "models/model.pt"} if copy.name == "uniseg_finetune" else {}
    run("verify_net_in_out", copy, config, **meta | {"net_id": "network"}, **own)
    metadata = json.loads((copy / "configs" / "metadata.json").read_text())["network_data_format"]
    if copy.name == "esp_medsam_2d":  # modules chosen by name can be traced, not scripted
        meta |= {"use_trace": True}
    channels, patch = metadata["inputs"]["image"]["num_channels"], metadata["inputs"]["image"]["spatial_shape"]
    image = torch.zeros(1, channels, *patch)
    shape = str([1, channels, *patch])
    weights = {"ckpt_file": "models/model.pt", "input_shape": shape}
    run("ckpt_export", copy, config, filepath="models/model.ts", **weights, **meta)
    scripted = torch.jit.load(copy / "models" / "model.ts")
    assert scripted(image).shape == (1, metadata["outputs"]["pred"]["num_channels"], *patch)
    run("onnx_export", copy, config, filepath="models/model.onnx", **weights, **meta)
    onnx.checker.check_model(onnx.load(copy / "models" / "model.onnx"))
