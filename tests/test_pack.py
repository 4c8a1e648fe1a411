import json
import zipfile

import pytest
import torch
from monai.bundle import download, load

from uniseg_nets.bundle.pack import pack_bundle, zip_bundle


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
    for output in (".", "dist", "dist"):
        archive = zip_bundle(".", output)
        assert archive.name == "organ_v1.0.0.zip"
        assert zipfile.ZipFile(archive).namelist() == ["organ/configs/metadata.json"]


@pytest.mark.parametrize("folder", [True, False])
def test_a_link_out_of_the_bundle_is_not_followed(small_bundle, tmp_path, folder):
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "patient.txt").write_text("patient")
    (small_bundle / "docs").symlink_to(tmp_path / "secret" / ("" if folder else "patient.txt"))
    with pytest.raises(ValueError, match=r"organ/docs is a link to .*secret.*put the files themselves"):
        zip_bundle(small_bundle, tmp_path / "dist")
    assert not (tmp_path / "dist").exists()


def test_a_bundle_behind_a_link_is_packed_by_the_link_s_name(small_bundle, tmp_path):
    (tmp_path / "current").symlink_to(small_bundle)
    assert zipfile.ZipFile(zip_bundle(tmp_path / "current", tmp_path)).namelist() == ["current/configs/metadata.json"]
