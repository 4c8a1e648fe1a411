import json
import zipfile

import pytest
import torch
from monai.bundle import download, load

from uniseg_nets.pack import pack_bundle, zip_bundle


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
