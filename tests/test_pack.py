import json
import zipfile

import pytest
import torch
from monai.bundle import ConfigParser, download, load

from uniseg_nets.bundle.contents import bundle_files, zip_bundle
from uniseg_nets.bundle.hub import write_hub_folder
from uniseg_nets.bundle.label_app import make_label_app
from uniseg_nets.bundle.pack import pack_bundle
from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.io.files import write_json


def test_a_zipped_bundle_is_taken_by_monai_s_download_and_load(bundle, tmp_path, demo_weights):
    runs = tmp_path / "work" / bundle.name
    for place in ("configs/inference.json", "configs/metadata.json", "configs/logging.conf", "LICENSE"):
        (runs / place).parent.mkdir(parents=True, exist_ok=True)
        (runs / place).write_bytes((bundle / place).read_bytes())
    config = json.loads((runs / "configs" / "inference.json").read_text())
    config["network_def"] |= {"base_features": 8, "max_features": 96, "patch_size": [32, 96, 96]}
    (runs / "configs" / "inference.json").write_text(json.dumps(config))
    (runs / "models").mkdir()
    (runs / "models" / "model.pt").write_bytes(demo_weights.read_bytes())
    (runs / "runs").mkdir()
    (runs / "runs" / "secret.txt").write_text("patient")
    archive = zip_bundle(runs, tmp_path / "dist")
    version = json.loads((bundle / "configs" / "metadata.json").read_text())["version"]
    assert archive.name == f"{bundle.name}_v{version}.zip"
    assert not any("runs" in name for name in zipfile.ZipFile(archive).namelist())
    (tmp_path / "zoo").mkdir()
    download(url=archive.as_uri(), name=bundle.name, bundle_dir=str(tmp_path / "zoo"), progress=False)
    network = load(bundle.name, bundle_dir=str(tmp_path / "zoo"), workflow_type="inference")
    state = torch.load(demo_weights, weights_only=True)
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize(("version", "plan", "message"), [("1", "{}", "three numbers"), ("1.0.0", "{}", "is no plan")])
def test_what_cannot_be_packed_is_refused(tmp_path, version, plan, message):
    (tmp_path / "plan.json").write_text(plan)
    with pytest.raises(ValueError, match=message):
        pack_bundle(tmp_path / "out", tmp_path / "plan.json", ["model.pt"], version)
    assert not (tmp_path / "out").exists()


@pytest.fixture
def small_bundle(tmp_path):
    root = tmp_path / "organ"
    (root / "configs").mkdir(parents=True)
    (root / "configs" / "metadata.json").write_text('{"version": "1.0.0"}')
    return root


def test_the_bundle_of_this_folder_has_the_folder_s_name_and_holds_no_archive_of_itself(small_bundle, monkeypatch):
    monkeypatch.chdir(small_bundle)
    for output in (".", "dist", "dist/again"):
        archive = zip_bundle(".", output)
        assert archive.name == "organ_v1.0.0.zip"
        assert zipfile.ZipFile(archive).namelist() == ["organ/configs/metadata.json"]


def test_a_zip_of_the_same_name_is_not_replaced(small_bundle, tmp_path):
    archive = zip_bundle(small_bundle, tmp_path / "dist")
    before = archive.read_bytes()
    (small_bundle / "LICENSE").write_text("new")
    with pytest.raises(FileExistsError, match=r"organ_v1\.0\.0\.zip exists already: choose another OUTPUT, or move it"):
        zip_bundle(small_bundle, tmp_path / "dist")
    assert archive.read_bytes() == before


def test_a_packed_bundle_of_the_same_version_is_not_replaced(tmp_path):
    (tmp_path / "organ_v1.0.0.zip").write_text("earlier")
    entry = {"name": "organ", "channels": ["CT"], "spacing": [1, 1, 1], "classes": ["organ"]}
    (tmp_path / "plan.json").write_text(json.dumps({"task_entry": entry}))
    with pytest.raises(FileExistsError, match=r"organ_v1\.0\.0\.zip exists already"):
        pack_bundle(tmp_path, tmp_path / "plan.json", ["model.pt"])
    assert (tmp_path / "organ_v1.0.0.zip").read_text() == "earlier"


@pytest.mark.parametrize("folder", [True, False])
def test_a_link_out_of_the_bundle_is_not_followed(small_bundle, tmp_path, folder):
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "patient.txt").write_text("patient")
    (small_bundle / "docs").symlink_to(tmp_path / "secret" / ("" if folder else "patient.txt"))
    with pytest.raises(ValueError, match=r"organ/docs is a link to .*secret.*put the files themselves"):
        zip_bundle(small_bundle, tmp_path / "dist")
    assert not (tmp_path / "dist").exists()


# Where a user's scans, plans, trainings and results come to lie in a bundle's folder.
_PRIVATE = (
    "OUT/p1.nii.gz",
    "checkpoint_epoch=3.pt",
    "configs/organ.nii.gz",
    "cv/fold0/metrics.csv",
    "data/p1/ct.nii.gz",
    "docs/p1.dcm",
    "models/checkpoint_epoch=3.pt",
    "models/fold0/checkpoint_epoch=3.pt",
    "models/fold0/metrics.csv",
    "plan.json",
    "runs/p1.json",
)
_OWN = (
    "LICENSE",
    "LICENSE.weights",
    "configs/logging.conf",
    "docs/README.md",
    "large_files.yml",
    "models/centres/north.pt.base",
    "models/fold0/model_final.pt",
    "models/model.safetensors",
    "models/model.safetensors.fingerprint.json",
    "models/model.safetensors.license",
    "models/model.safetensors.sha256",
    "scripts/net.py",
)


@pytest.fixture
def used_bundle(small_bundle):
    """A bundle in whose folder its user has worked."""
    for name in (*_PRIVATE, *_OWN):
        (small_bundle / name).parent.mkdir(parents=True, exist_ok=True)
        (small_bundle / name).touch()
    for name, section in (("organ", "data"), ("cases", "training")):
        write_json(small_bundle / "configs" / f"{name}.json", {section: [{"image": "p1.nii.gz"}]})
    # Of a MONAI Label server: the cases of a training on several GPUs. A list and a reference to cases are no cases.
    write_json(small_bundle / "configs" / "monailabel_train.json", {"train": {"data": [{"image": "/data/p1.nii.gz"}]}})
    write_json(small_bundle / "docs" / "plan.json", {"data": [{"image": "p1.nii.gz"}]})
    (small_bundle / "configs" / "cases.yaml").write_text("validate:\n- image: p1.nii.gz\n")
    write_json(small_bundle / "configs" / "names.json", ["liver", {"image": "@image"}])
    for name in ("inference", "train"):
        write_json(small_bundle / "configs" / f"{name}.json", {"data": None})
    metadata = {"version": "1.0.0", "task": "CT", "image_classes": "CT", "weights_license": "Apache-2.0"}
    write_json(small_bundle / "configs" / "metadata.json", metadata)
    return small_bundle


_CONFIGS = ["configs/names.json", "configs/inference.json", "configs/metadata.json", "configs/train.json"]


def test_a_zip_has_nothing_of_patients_and_the_log_says_what_is_left_out(used_bundle, tmp_path, caplog):
    (used_bundle / "data" / "more").symlink_to(tmp_path)
    (used_bundle / "scans").symlink_to(tmp_path)
    with caplog.at_level("INFO"):
        archive = zip_bundle(used_bundle, tmp_path / "dist")
    names = {name.removeprefix("organ/") for name in zipfile.ZipFile(archive).namelist()}
    assert names == {*_OWN, *_CONFIGS}
    assert "no part of a bundle, left out (18): OUT/p1.nii.gz, checkpoint_epoch=3.pt, " in caplog.text


def test_a_folder_for_the_hub_and_a_server_s_app_have_nothing_of_patients(used_bundle, tmp_path, demo_weights):
    hub = write_hub_folder(used_bundle, "someone/organ", tmp_path / "hub").path
    (tmp_path / "sample").mkdir()
    (tmp_path / "sample" / "main.py").touch()
    app = make_label_app(tmp_path / "app", used_bundle, weights=demo_weights, sample_app=tmp_path / "sample")
    in_hub, in_app = (
        {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()} for root in (hub, app)
    )
    assert in_hub == {*_OWN, *_CONFIGS, "README.md"} - {"docs/README.md"}
    weights = {name for name in _OWN if name.startswith("models/model.")}
    assert in_app == {*_OWN, *_CONFIGS, "models/model.pt", "models/model.pt.sha256"} - weights


_OF_A_SERVER = {"uniseg_upstream": "models/model.pt", "uniseg_finetune": "models/model.pt"}
_OF_A_SERVER["unetr_prompt_tuning"] = "models/centres/new.pt"


@pytest.mark.parametrize("name", _OF_A_SERVER)
def test_a_server_s_training_writes_the_weights_where_the_server_reads_them(name, tmp_path, demo_weights):
    (tmp_path / "sample").mkdir()
    (tmp_path / "sample" / "main.py").touch()
    app = make_label_app(tmp_path / "app", bundle_folder(name), weights=demo_weights, sample_app=tmp_path / "sample")
    parser = ConfigParser(json.loads((app / "configs" / "train.json").read_text()))
    parser["bundle_root"] = "ROOT"
    assert parser.get_parsed_content("best_weights") == f"ROOT/{_OF_A_SERVER[name]}"


@pytest.mark.parametrize("name", ["uniseg_upstream", "uniseg_finetune", "unetr_prompt_tuning", "esp_medsam_2d"])
def test_all_parts_of_our_bundles_are_passed_on(name):
    folder = bundle_folder(name)
    parts = {path for part in ("configs", "docs") for path in (folder / part).iterdir()}
    parts |= {*folder.glob("LICENSE*"), folder / "large_files.yml", *folder.glob("models/demo.pt*")}
    assert {*parts, *folder.glob("models/open.pt*")} <= set(bundle_files(folder))


def test_a_bundle_behind_a_link_is_packed_by_the_link_s_name(small_bundle, tmp_path):
    (tmp_path / "current").symlink_to(small_bundle)
    assert zipfile.ZipFile(zip_bundle(tmp_path / "current", tmp_path)).namelist() == ["current/configs/metadata.json"]
