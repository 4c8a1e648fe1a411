"""A bundle inside MONAI Deploy: what its MonaiBundleInferenceOperator does with a bundle's folder."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor

from tests.dicom_files import identified
from tests.running import OPENVINO
from uniseg_nets import Segmenter
from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.phantom import write_phantoms
from uniseg_nets.transforms import LoadCase

APP = Path(__file__).parents[1] / "docs" / "deploy" / "app.py"


def operator(folder, names, scan):
    """Reads configs without a root, builds the parts by their names, loads models/model.pt and runs one scan."""
    parser = ConfigParser()
    parser.read_config([folder / "configs" / f"{name}.json" for name in names])
    before, after, inferer, network = map(
        parser.get_parsed_content, ("preprocessing", "postprocessing", "inferer", "network")
    )
    network.load_state_dict(torch.load(folder / "models" / "model.pt", weights_only=True), strict=True)
    case = before({"image": scan})
    scores = inferer(inputs=case["image"][None], network=network.eval())
    return after({"pred": scores[0], **case})["pred"]


@pytest.mark.parametrize("runtime", ["torch", OPENVINO])
def test_the_operator_s_label_map_is_the_segmenter_s(copy, table, demo_weights, tmp_path, monkeypatch, runtime):
    (name,) = write_phantoms(tmp_path / "scans", table.one("liver"), 1, seed=7)
    path = tmp_path / "scans" / "imagesTr" / f"{name}_0000.nii.gz"
    (copy / "models").mkdir(exist_ok=True)
    (copy / "models" / "model.pt").write_bytes(demo_weights.read_bytes())
    config = copy / "configs" / "inference.json"
    config.write_text(config.read_text().replace('"runtime": "auto"', f'"runtime": "{runtime}"'))
    expected = Segmenter(copy, task="liver", runtime=runtime)(path)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    scan = LoadCase()(path)
    found = operator(copy, ["inference", "demo", "deploy"], MetaTensor(scan.as_tensor()[0], affine=scan.affine))
    assert np.array_equal(found[0].numpy(), expected) and (np.asarray(expected) == 1).any()
    assert not list((tmp_path / "work").iterdir())


@pytest.mark.slow
@pytest.mark.skipif(find_spec("monai.deploy") is None, reason="MONAI Deploy's SDK is not installed")
def test_the_application_s_segmentation_is_the_segmenter_s_label_map(copy, test_data, demo_weights, tmp_path):
    highdicom = pytest.importorskip("highdicom")
    files = identified(test_data / "data" / "examples" / "dicom_ct", tmp_path / "series")
    (copy / "models").mkdir(exist_ok=True)
    (copy / "models" / "model.pt").write_bytes(demo_weights.read_bytes())
    choice = {"task": "spleen", "label_values": "task"}
    demo = json.loads((copy / "configs" / "demo.json").read_text())
    (copy / "configs" / "app.json").write_text(json.dumps(demo | choice | {"weights": None}))
    places = {"--input": tmp_path / "series", "--model": copy, "--output": tmp_path / "out"}
    command = [sys.executable, str(APP), *(str(word) for pair in places.items() for word in pair)]
    subprocess.run(command, cwd=tmp_path, check=True)
    segmentation = highdicom.seg.segread(next((tmp_path / "out").glob("*.dcm")))
    slices = sorted((pydicom.dcmread(file) for file in files), key=lambda one: one.ImagePositionPatient[2])
    uids = [one.SOPInstanceUID for one in slices]
    found = segmentation.get_pixels_by_source_instance(uids, assert_missing_frames_are_empty=True)[..., 0]
    expected = Segmenter(copy, **choice)(tmp_path / "series")
    assert np.array_equal(np.asarray(expected).transpose(2, 1, 0), found) and found.any()


def test_the_two_bundles_deploy_alike():
    first, second = (bundle_folder(name) / "configs" / "deploy.json" for name in ("uniseg_upstream", "uniseg_finetune"))
    assert first.read_text() == second.read_text()
