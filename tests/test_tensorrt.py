"""TensorRT as the runtime. No test has a GPU: what TensorRT is given is checked, and what happens without it."""

import contextlib
import copy
import logging

import numpy as np
import onnx
import pytest
import torch
from monai.bundle import ConfigParser
from monai.networks.utils import add_casts_around_norms, convert_to_onnx
from torch import nn

from tests.networks import ROI, bright_backbone, small_uniseg
from tests.running import needs_openvino
from uniseg_nets.image2d.runtime import with_picture_runtime
from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.phantom import write_phantoms
from uniseg_nets.runtimes import resolved_runtime, with_runtime
from uniseg_nets.runtimes.tensorrt import TensorRTRuntime, lacking_for_tensorrt
from uniseg_nets.weights.checkpoints import save_weights

PRESENT = "uniseg_nets.runtimes.tensorrt.find_spec"


def label_map(configs, scan, output, **values):
    """Of a scan, by the parts of a bundle's configs."""
    parser = ConfigParser()
    parser.read_config(configs)
    parser.update({"bundle_root": str(configs[0].parents[1]), "output_dir": output, **values})
    names = ("preprocessing", "network", "inferer", "to_label_map")
    preprocessing, network, inferer, to_label_map = map(parser.get_parsed_content, names)
    case = preprocessing({"image": scan})
    return np.asarray(to_label_map({"pred": inferer(case["image"][None], network)[0], **case})["pred"])


@pytest.fixture(scope="module")
def scan(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    (name,) = write_phantoms(folder, table.one("liver"), 1, seed=9)
    return folder / "imagesTr" / f"{name}_0000.nii.gz"


@pytest.mark.parametrize("name", ["uniseg_upstream", "uniseg_finetune"])
def test_without_a_gpu_the_bundle_s_label_map_is_that_of_the_runtime_auto(name, scan, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    configs = bundle_folder(name) / "configs"
    if name == "uniseg_upstream":
        files, own = [configs / "inference.json", configs / "demo.json"], {"task": "liver", "overlap": 0.0}
    else:
        save_weights(bright_backbone().state_dict(), tmp_path / "model.pt")
        files, own = [configs / "inference.json"], {"weights": [str(tmp_path / "model.pt")], "patch_size": ROI}
        own |= {"network_def#base_features": 4, "network_def#max_features": 8, "task_entry#spacing": [6, 3, 3]}
    expected = label_map(files, scan, tmp_path, **own)
    caplog.clear()
    found = label_map([*files, configs / "inference_trt.json"], scan, tmp_path, **own)
    assert np.array_equal(found, expected) and found.any()
    warnings = [one.message for one in caplog.records if one.levelno >= logging.WARNING]
    assert len(warnings) == 1 and warnings[0].startswith(
        "no TensorRT here, the runtime is auto: it needs an NVIDIA GPU"
    )


def test_an_ensemble_is_warned_of_once_and_the_record_says_what_computed(caplog):
    ensemble = with_runtime(nn.ModuleList([small_uniseg(), small_uniseg(1)]), "tensorrt", "fp32")
    assert caplog.text.count("no TensorRT here") == 1
    assert resolved_runtime("tensorrt", "auto", "cpu") == resolved_runtime("auto", "auto", "cpu")
    assert [type(one) for one in ensemble] == 2 * [type(with_runtime(small_uniseg(), "auto", "fp32"))]


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(PRESENT, lambda name: None if name in ("polygraphy", "cuda") else name)
    assert lacking_for_tensorrt(torch.device("cuda")) == "polygraphy, cuda-python"
    monkeypatch.setattr(PRESENT, lambda name: name)
    assert lacking_for_tensorrt(torch.device("cuda")) == ""
    assert resolved_runtime("tensorrt", "fp32", "cuda") == {"runtime": "tensorrt", "precision": "fp32"}


def test_the_network_of_pictures_has_no_tensorrt():
    with pytest.raises(ValueError, match="runtime tensorrt is for networks of 3D scans"):
        with_picture_runtime(nn.Identity(), "tensorrt")


@pytest.fixture
def on_the_cpu(monkeypatch):
    """Lets the runtime be made without a GPU: ``trt_compile`` then leaves the encoder to PyTorch."""
    monkeypatch.setattr("torch.cuda.device", lambda device: contextlib.nullcontext())


@pytest.mark.parametrize("bfloat16", [False, True])
def test_the_steps_around_the_engine_are_the_network_s_and_follow_loaded_weights(on_the_cpu, bfloat16):
    network, other = small_uniseg(), small_uniseg(5)
    runtime = TensorRTRuntime(copy.deepcopy(network), bfloat16)
    x = torch.randn(1, 1, *ROI)
    with torch.no_grad():
        for weights in (network, other):
            assert list(runtime.state_dict()) == list(weights.state_dict())
            runtime.load_state_dict(weights.state_dict())
            expected, found = weights(x, 3), runtime(x, 3).float()
            if bfloat16:
                assert (found - expected).abs().mean() < 0.03 * expected.abs().mean()
            else:
                torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(runtime.encode(x), weights.encode(x), atol=1e-4, rtol=1e-4)


def test_an_engine_that_cannot_be_built_is_tried_once_and_the_error_says_what_to_do(on_the_cpu, monkeypatch):
    tried = []

    def refuse(*arguments):
        tried.append(arguments)
        raise ValueError("no such layer")

    monkeypatch.setattr("uniseg_nets.runtimes.tensorrt.trt_compile", refuse)
    runtime = TensorRTRuntime(small_uniseg())
    for _ in range(2):
        with pytest.raises(RuntimeError, match="cannot compute the encoder: no such layer; choose the runtime torch"):
            runtime(torch.randn(1, 1, *ROI))
    assert len(tried) == 1


@needs_openvino
def test_the_file_that_tensorrt_reads_has_the_encoder_s_features(tmp_path):
    """The encoder as ``trt_compile`` exports it, computed by another reader of ONNX."""
    openvino = pytest.importorskip("openvino")
    encoder, x = small_uniseg().encoder, torch.randn(1, 1, *ROI)
    expected = encoder(x)
    file = str(tmp_path / "encoder.onnx")
    convert_to_onnx(add_casts_around_norms(encoder), {"x": x}, filename=file, input_names=["x"], output_names=[])
    onnx.checker.check_model(onnx.load(file))
    found = openvino.compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})([x.numpy()])
    assert len(found) == len(expected)
    for index, feature in enumerate(expected):
        torch.testing.assert_close(torch.from_numpy(found[index]), feature.detach(), atol=1e-3, rtol=1e-3)
