"""Fine-tuning as its users do it: plan, train, evaluate, predict, pack, and the packed bundle elsewhere."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow, download, load

from tests.running import run
from tests.test_plan import AFFINE, write_case
from uniseg_nets import PromptTunedUniSeg, Segmenter, UniSeg
from uniseg_nets.bundle.pack import pack_bundle
from uniseg_nets.bundle.run import merged_config
from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.io.errors import root_cause
from uniseg_nets.plan import PlanOptions, plan_dataset
from uniseg_nets.weights.checkpoints import save_weights
from uniseg_nets.weights.trained_task import task_of

SIZES = {"base_features": 4, "max_features": 8}
SHORT = {"max_epochs": 1, "batches_per_epoch": 4, "val_interval": 1, "fingerprint_cases": 0}


@pytest.fixture(scope="session")
def bundle():
    return bundle_folder("uniseg_finetune")


@pytest.fixture
def planned(tmp_path):
    """Data of a layout, values and channels that the code has never seen; weights; and the plan by the command."""
    for index in range(4):
        write_case(tmp_path / "data", f"patient{index}", seed=index, size=(40, 50, 30))
    save_weights(UniSeg(**SIZES, patch_size=[32, 64, 64]).state_dict(), tmp_path / "pretrained.pt")
    command = [sys.executable, "-m", "uniseg_nets", "plan", "data", "--out", "plan.json", "--weights", "pretrained.pt"]
    options = ["--labels", "50=organ,100=lesion", "--folds", "2", "--name", "Two Values"]
    found = subprocess.run([*command, *options], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "labels 50 organ, 100 lesion" in found.stdout
    return tmp_path / "plan.json"


def test_upstream_and_finetuning_augment_alike(bundle):
    """Bundles stand alone, so the list stands in both; it must not drift apart."""
    configs = [bundle, bundle_folder("uniseg_upstream")]
    lists = [json.loads((root / "configs" / "train.json").read_text())["train"]["augmentation"] for root in configs]
    assert lists[0] == lists[1]


def test_without_a_plan_the_training_says_what_to_do(copy):
    workflow = ConfigWorkflow(
        str(copy / "configs" / "train.json"), workflow_type="train", logging_file=False, bundle_root=str(copy)
    )
    workflow.initialize()
    with pytest.raises(RuntimeError) as caught:
        workflow.run()
    causes = [caught.value]
    while causes[-1].__cause__:
        causes.append(causes[-1].__cause__)
    assert "make a plan with `uniseg plan DATA --out plan.json`" in str(causes[-1])


def test_from_data_to_a_packed_bundle_that_segments_elsewhere(copy, tmp_path, planned):
    data = {"dataset_dir": tmp_path / "data"}
    log = run("run", copy, ["train.json", planned, "small.json"], **data, **SHORT)
    assert "0 adapted, 5 new" in log and "the decoder gets the prompt of task 10 of the weights" in log
    model = copy / "models" / "fold0" / "model.pt"
    log = run("run", copy, ["train.json", planned, "small.json", "evaluate.json"], **data)
    rows = (copy / "eval" / "fold0" / "summary.csv").read_text().splitlines()
    assert [row.split(",")[:3] for row in rows[1:]] == [["Two Values", "organ", "2"], ["Two Values", "lesion", "2"]]
    run("run", copy, ["inference.json", planned], output_dir=tmp_path / "out", dataset_dir=_scans(tmp_path))
    _check_label_map(tmp_path / "out", "new")

    command = [sys.executable, "-m", "uniseg_nets", "pack", "plan.json", str(model), "packed"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    archive = tmp_path / "packed" / "two_values_v1.0.0.zip"
    with zipfile.ZipFile(archive) as content:
        texts = [content.read(name) for name in content.namelist() if name.endswith((".json", ".md"))]
    assert not any(b"patient" in text or str(tmp_path).encode() in text for text in texts)
    zoo = tmp_path / "zoo"
    zoo.mkdir()
    download(url=archive.as_uri(), name="two_values", version="1.0.0", bundle_dir=str(zoo), progress=False)
    network = load("two_values", bundle_dir=str(zoo), workflow_type="inference")
    expected = torch.load(model, weights_only=True)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in network.state_dict().items())
    metadata = json.loads((zoo / "two_values" / "configs" / "metadata.json").read_text())
    definition = metadata["network_data_format"]["outputs"]["pred"]["channel_def"]
    assert definition == {"0": "background", "50": "organ", "100": "lesion"}
    run("run", zoo / "two_values", ["inference.json"], output_dir=tmp_path / "out2", dataset_dir=_scans(tmp_path))
    segment = [sys.executable, "-m", "uniseg_nets", "segment", str(_scans(tmp_path))]
    own = {"out3": ["--bundle", str(archive)], "out4": ["--plan", "plan.json", "--weights", str(model)]}
    for folder, options in own.items():
        subprocess.run([*segment, folder, *options], cwd=tmp_path, check=True, capture_output=True)
        _check_label_map(tmp_path / folder, "new")
    first, *others = (nib.load(tmp_path / folder / "new.nii.gz").get_fdata() for folder in ("out", "out2", *own))
    assert all(np.array_equal(first, other) for other in others)
    channels = [str(path) for path in sorted(_scans(tmp_path).glob("new_*.nii.gz"))]
    assert np.array_equal(Segmenter(zoo / "two_values")(channels), first)
    # It learns again, from its own weights and beside them.
    cases = tmp_path / "cases.json"
    cases.write_text(json.dumps({"data": json.loads(planned.read_text())["data"]}))
    run("run", zoo / "two_values", ["train.json", cases], **data, **SHORT)
    kept = torch.load(zoo / "two_values" / "models" / "model.pt", weights_only=True)
    learnt = torch.load(zoo / "two_values" / "models" / "trained" / "model.pt", weights_only=True)
    assert all(torch.equal(kept[name], expected[name]) for name in kept)
    assert any(not torch.equal(learnt[name], kept[name]) for name in kept)
    # A packed network knows its slot's task still: a further fine-tuning starts from it.
    options = PlanOptions(weights=str(zoo / "two_values" / "models" / "model.pt"))
    assert plan_dataset(tmp_path / "data", tmp_path / "again.json", options)["slot"] == 10


def test_a_packed_bundle_learns_further_and_segments_with_the_new_plan_alone(
    tmp_path, planned, uniseg, monkeypatch, caplog
):
    plan = json.loads(planned.read_text())
    network = PromptTunedUniSeg(plan["slot"], in_channels=[2], out_channels=3, patch_size=[32, 64, 64], **SIZES)
    save_weights(network.state_dict(), tmp_path / "model.pt")
    with zipfile.ZipFile(pack_bundle(tmp_path, planned, [tmp_path / "model.pt"])) as archive:
        archive.extractall(tmp_path)
    packed = tmp_path / "two_values"
    assert task_of(packed / "models" / "model.pt") == {"task_entry": plan["task_entry"], "slot": plan["slot"]}
    for file in (tmp_path / "data").rglob("*.nii.gz"):  # the new data: the same labels at another spacing
        nib.save(nib.Nifti1Image(np.asarray(nib.load(file).dataobj), np.diag([2, 2, 2, 1])), file)
    scans, again = _scans(tmp_path), ["--labels", "50=organ,100=lesion", "--folds", 2]
    monkeypatch.chdir(packed)
    assert uniseg("plan", tmp_path / "data", *again, "--out", "open.json", "--weights", "open") == 0
    parser = ConfigParser(merged_config(packed / "configs" / "train.json", json.loads(Path("open.json").read_text())))
    with pytest.raises(RuntimeError) as refused:
        parser.get_parsed_content("loaded_network")
    assert "a packed bundle learns further from its own weights, with the same labels" in root_cause(refused.value)
    assert uniseg("plan", tmp_path / "data", *again, "--out", "plan.json", "--weights", "none") == 0
    run("run", packed, ["train.json", packed / "plan.json", "small.json"], dataset_dir=tmp_path / "data", **SHORT)
    learnt = ["--bundle", ".", "--weights", "models/trained/model.pt"]
    assert uniseg("segment", scans, "out", *learnt) == 1
    assert "was trained with spacing [2.0, 2.0, 2.0], not [3.0, 1.5, 1.5]: use the plan" in caplog.text
    assert not (packed / "out").exists()
    assert uniseg("segment", scans, "out", *learnt, "--plan", "plan.json") == 0
    _check_label_map(packed / "out", "new")


def test_the_folds_make_an_ensemble_and_overlays_choose_what_learns(copy, tmp_path, planned):
    data = {"dataset_dir": tmp_path / "data"}
    logs = {}
    for overlay in ("freeze_encoder.json", "from_scratch.json", "prompt_only.json", "norms_only.json"):
        options = SHORT | {"ckpt_dir": tmp_path / overlay, "output_dir": tmp_path / "runs"}
        more = {"slot": 8} if overlay == "prompt_only.json" else {}
        logs[overlay] = run("run", copy, ["train.json", planned, "small.json", overlay], **data, **options, **more)
    assert "pretrained weights" not in logs["from_scratch.json"]
    assert "pretrained weights" in logs["freeze_encoder.json"] and "(100.00 %)" not in logs["freeze_encoder.json"]
    before = torch.load(tmp_path / "pretrained.pt", weights_only=True)
    after = torch.load(tmp_path / "prompt_only.json" / "model.pt", weights_only=True)
    changed = {name for name, tensor in before.items() if not torch.equal(tensor, after[name]) and "heads" not in name}
    assert changed == {"task_prompts.universal"}
    after = torch.load(tmp_path / "norms_only.json" / "model.pt", weights_only=True)
    changed = {name for name in after.keys() & before.keys() if not torch.equal(before[name], after[name])}
    assert changed and all(".norm." in name or "heads" in name for name in changed)
    weights = str([str(tmp_path / overlay / "model.pt") for overlay in ("freeze_encoder.json", "from_scratch.json")])
    scans = _scans(tmp_path)
    run("run", copy, ["inference.json", planned], weights=weights, output_dir=tmp_path / "out", dataset_dir=scans)
    _check_label_map(tmp_path / "out", "new")
    assert len(json.loads((tmp_path / "out" / "new.json").read_text())["weights_sha256"]) == 2
    run("run", copy, ["train.json", planned, "evaluate.json"], weights=weights, output_dir=tmp_path / "eval", **data)
    assert len((tmp_path / "eval" / "cases.csv").read_text().splitlines()) > 1


def _scans(tmp_path):
    """One unlabelled case, its channels named as nnU-Net's."""
    folder = tmp_path / "scans"
    if not folder.exists():
        place = write_case(tmp_path / "raw", "new", seed=77, size=(40, 50, 30))
        folder.mkdir()
        for channel, name in enumerate(("t1", "t2")):
            shutil.copy(place / f"{name}.nii.gz", folder / f"new_{channel:04d}.nii.gz")
    return folder


def _check_label_map(folder, name):
    found = nib.load(folder / f"{name}.nii.gz")
    assert found.shape == (40, 50, 30) and np.allclose(found.affine, AFFINE)
    assert set(np.unique(found.get_fdata())) <= {0, 50, 100}
    labels = json.loads((folder / f"{name}.json").read_text())["labels"]
    assert labels == {"0": "background", "50": "organ", "100": "lesion"}
