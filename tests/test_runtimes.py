import copy
import os
import signal
import subprocess
import sys
from importlib.util import find_spec

import pytest
import torch
from torch import nn

from tests.networks import ROI, small_uniseg
from tests.running import OPENVINO, needs_openvino
from uniseg_nets import UniSeg, UniSegBackbone
from uniseg_nets.inferers.sliding_window import EnsembleInferer, UniSegInferer
from uniseg_nets.runtimes import resolved_runtime, with_runtime
from uniseg_nets.runtimes.channels_last import channels_last, for_training
from uniseg_nets.runtimes.choose import resolve_runtime

# Runtimes are made and dropped, oldest first, in a process that handles the end of its children.
SEVERAL_RUNTIMES = """
import signal, subprocess, sys
import torch
from tests.networks import ROI, small_uniseg
from uniseg_nets.runtimes.int8 import RecordingRuntime, quantise
from uniseg_nets.runtimes.openvino import OpenVINORuntime

signal.signal(signal.SIGCHLD, lambda *_: None)
network, folder, quantised = small_uniseg(), sys.argv[1], sys.argv[2] == "True"
runtimes = [RecordingRuntime(network, 1, folder), OpenVINORuntime(network, "fp32", folder)]
with torch.no_grad():
    for runtime in runtimes:
        runtime(torch.randn(1, 1, *ROI), 0)
if quantised:
    quantise(runtimes[0])
runtime = None
while runtimes:
    del runtimes[0]
    subprocess.run([sys.executable, "-c", ""], check=True)
print("survived")
"""


@pytest.fixture(scope="module")
def network():
    return small_uniseg()


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Converted once for all tests of the module."""
    return tmp_path_factory.mktemp("cache")


def logits(network, x, task):
    with torch.no_grad():
        features = network.encode(x)
        return network.decode(features, network.select(network.prompts(features), task)).float().clone()


@pytest.mark.parametrize("runtime", ["torch", OPENVINO])
def test_a_runtime_in_float32_gives_the_network_s_own_logits(network, cache, runtime):
    fast = with_runtime(network, runtime, "fp32", cache)
    for task, size in ((0, ROI), (6, (32, 96, 64)), (3, ROI)):  # a size of window comes again
        x = torch.randn(1, 1, *size)
        with torch.no_grad():
            torch.testing.assert_close(logits(fast, x, task), network(x, task), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("runtime", ["torch", OPENVINO])
def test_a_runtime_is_called_as_the_network_is(network, cache, runtime):
    x = torch.randn(2, 1, *ROI)
    with torch.no_grad():
        found = with_runtime(network, runtime, "fp32", cache)(x, torch.tensor([0, 6]))
        torch.testing.assert_close(found, network(x, torch.tensor([0, 6])), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    ("runtime", "precision"),
    [("torch", "fp32"), ("torch", "bf16"), pytest.param("openvino", "fp32", marks=needs_openvino)],
)
def test_weights_that_are_loaded_into_a_runtime_answer(network, tmp_path, runtime, precision):
    fast = with_runtime(copy.deepcopy(network), runtime, precision, tmp_path)
    x = torch.randn(1, 1, *ROI)
    first = logits(fast, x, 3)
    other = small_uniseg(5)
    assert list(fast.state_dict()) == list(other.state_dict())
    fast.load_state_dict(other.state_dict())
    assert all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in fast.state_dict().items())
    assert not torch.allclose(logits(fast, x, 3), first)
    if precision == "fp32":
        with torch.no_grad():
            torch.testing.assert_close(logits(fast, x, 3), other(x, 3), atol=1e-4, rtol=1e-4)
    with pytest.raises(RuntimeError, match="size mismatch"):
        fast.load_state_dict(UniSeg(base_features=8, max_features=8, patch_size=ROI).state_dict())


def test_an_ensemble_of_runtimes_has_the_names_of_its_networks(network):
    plain = nn.ModuleList([copy.deepcopy(network), copy.deepcopy(network)])
    fast = with_runtime(plain, "torch", "fp32")
    assert list(fast.state_dict()) == list(plain.state_dict())
    fast.load_state_dict({name: torch.zeros_like(tensor) for name, tensor in plain.state_dict().items()})
    assert not any(tensor.any() for tensor in fast.state_dict().values())


@pytest.mark.parametrize("runtime", ["torch", OPENVINO])
def test_bfloat16_stays_near(network, cache, runtime):
    x = torch.randn(1, 4, *ROI)
    with torch.no_grad():
        expected = network(x, 9)
    found = logits(with_runtime(network, runtime, "bf16", cache), x, 9)
    assert 0 < (found - expected).abs().mean() < 0.03 * expected.abs().mean()


def test_bfloat16_in_torch_lays_the_copy_channels_last_and_leaves_the_network_as_it_was(network):
    """Whether a convolution's output is channels last too is the processor's choice."""
    fast = with_runtime(network, "torch", "bf16")
    last = torch.channels_last_3d
    for module in fast.network.modules():
        if isinstance(module, nn.Conv3d):
            assert module.weight.is_contiguous(memory_format=last)
        if isinstance(module, nn.InstanceNorm3d):
            features = torch.randn(1, module.num_features, 4, 6, 8).to(memory_format=last)
            assert module(features).is_contiguous(memory_format=last)
    with torch.no_grad():
        assert fast.encode(torch.randn(1, 1, *ROI))[0].dtype is torch.bfloat16
    assert all(weight.is_contiguous() for weight in network.parameters())


def test_channels_last_keeps_samples_apart(network):
    x = torch.randn(2, 1, *ROI).double() * torch.tensor([1.0, 5.0]).reshape(2, 1, 1, 1, 1)
    plain = copy.deepcopy(network).double()
    fast = channels_last(copy.deepcopy(plain))
    with torch.no_grad():
        both, each = fast(x), torch.cat([fast(one[None]) for one in x])
        torch.testing.assert_close(both, plain(x))
        torch.testing.assert_close(each, both)


def test_a_training_on_a_cpu_has_the_gradients_of_pytorchs_layout(network):
    plain = copy.deepcopy(network).train().double()
    fast = for_training(copy.deepcopy(plain), "cpu")
    x = torch.randn(2, 1, *ROI).double() * torch.tensor([1.0, 5.0]).reshape(2, 1, 1, 1, 1)
    for each in (plain, fast):
        sum(level.square().mean() for level in each(x, torch.tensor([3, 9]))).backward()
    assert [name for name, _ in fast.named_parameters()] == [name for name, _ in plain.named_parameters()]
    assert fast.encoder.stages[1][0].conv.weight.is_contiguous(memory_format=torch.channels_last_3d)
    for ours, theirs in zip(fast.parameters(), plain.parameters()):
        assert (ours.grad is None) == (theirs.grad is None)
        if ours.grad is not None:
            torch.testing.assert_close(ours.grad, theirs.grad)


def test_a_training_in_bfloat16_keeps_pytorchs_layout(network):
    kept = for_training(copy.deepcopy(network), "cpu", bfloat16=True)
    assert all(weight.is_contiguous() for weight in kept.parameters())


def test_the_layout_of_a_training_keeps_what_is_frozen_and_takes_a_checkpoint_of_the_other_layout(network):
    network = copy.deepcopy(network)
    network.encoder.requires_grad_(False)
    frozen = {name for name, weight in network.named_parameters() if not weight.requires_grad}
    saved = {name: tensor + 1 for name, tensor in network.state_dict().items()}
    fast = for_training(network, "cpu")
    assert {name for name, weight in fast.named_parameters() if not weight.requires_grad} == frozen
    fast.load_state_dict(saved)
    assert all(torch.equal(tensor, saved[name]) for name, tensor in fast.state_dict().items())


@needs_openvino
def test_openvino_serves_all_tasks_from_one_encoding_and_mirrors(table, network, cache):
    fast = with_runtime(network, "openvino", "fp32", cache)
    x = torch.randn(1, 1, 40, 64, 64)
    for options in ({}, {"mirror": True}):
        inferer = UniSegInferer(table, "all_ct", ROI, **options)
        torch.testing.assert_close(inferer(x, fast), inferer(x, network), atol=1e-4, rtol=1e-3)


@needs_openvino
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_openvino_computes_windows_of_several_tasks_and_of_one_in_turn(network, cache, precision):
    """What several tasks share is of their own window: nothing of an earlier one stays."""
    fast = with_runtime(network, "openvino", precision, cache)
    one, other = torch.randn(2, 1, 1, *ROI)
    near = {"atol": 1e-4, "rtol": 1e-4} if precision == "fp32" else {"atol": 0.2, "rtol": 0.2}
    with torch.no_grad():
        for x, tasks in ((one, (0, 6, 3)), (other, (6, 0)), (one, (3,)), (other, (0, 1)), (one, (6, 0))):
            features = fast.encode(x)
            features = fast.shared(features) if len(tasks) > 1 else features
            prompts = fast.prompts(features)
            _, coarse = fast.decode_coarse(features, fast.select(prompts, tasks[0]))
            own = network.encode(x)
            _, expected = network.decode_coarse(own, network.select(network.prompts(own), tasks[0]))
            torch.testing.assert_close(coarse.float(), expected, **near)
            for task in tasks:
                prediction = fast.decode(features, fast.select(prompts, task)).float()
                torch.testing.assert_close(prediction, network(x, task), **near)


@needs_openvino
def test_openvino_takes_windows_that_are_views(network, cache):
    """A window is a cut from a volume: the copy that lays it out in a row must outlive the computation."""
    fast = with_runtime(network, "openvino", "fp32", cache)
    volume = torch.randn(1, 2, 64, 128, 128)
    for start in (0, 8, 16, 24):
        window = volume[..., start : start + 32, start : start + 64, start : start + 64]
        with torch.no_grad():
            torch.testing.assert_close(logits(fast, window, 10), network(window, 10), atol=1e-4, rtol=1e-4)


@needs_openvino
def test_openvino_takes_backbones_and_ensembles(cache):
    from uniseg_nets.tasks import TaskTable

    task = {"name": "own", "channels": ["T1", "T2"], "spacing": [2, 2, 2], "classes": ["a", "b"]}
    torch.manual_seed(1)
    members = nn.ModuleList([UniSegBackbone((2,), 3, 4, 8).eval() for _ in range(2)])
    inferer = EnsembleInferer(UniSegInferer(TaskTable([task]), "own", ROI))
    x = torch.randn(1, 2, *ROI)
    fast = with_runtime(members, "openvino", "fp32", cache)
    torch.testing.assert_close(inferer(x, fast), inferer(x, members), atol=1e-4, rtol=1e-3)


@needs_openvino
def test_a_converted_network_is_read_again_and_other_weights_are_not_mistaken_for_it(network, tmp_path):
    x = torch.randn(1, 1, *ROI)
    first = logits(with_runtime(network, "openvino", "fp32", tmp_path), x, 0)
    (kept,) = tmp_path.iterdir()
    written = (kept / "fine.xml").stat().st_mtime_ns
    torch.testing.assert_close(logits(with_runtime(network, "openvino", "fp32", tmp_path), x, 0), first)
    assert (kept / "fine.xml").stat().st_mtime_ns == written
    other = small_uniseg(5)
    assert not torch.allclose(logits(with_runtime(other, "openvino", "fp32", tmp_path), x, 0), first)
    assert sorted(path.name for path in kept.iterdir()) == sorted(
        f"{part}.{kind}" for part in ("encoder", "coarse", "fine") for kind in ("bin", "xml")
    )
    assert len(list(tmp_path.iterdir())) == 2


class Switched(nn.Module):
    """Computes otherwise when switched, with the same weights."""

    def __init__(self, doubled=False):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.doubled = doubled

    def forward(self, x):
        return self.layer(x) * (2 if self.doubled else 1)


@pytest.fixture
def kept(tmp_path):
    """Gives a network's models by way of a cache; the list counts the conversions."""
    openvino = pytest.importorskip("openvino")
    from uniseg_nets.runtimes.cached import cached_models

    converted = []

    def models(network, cache_dir=tmp_path):
        def convert():
            converted.append(network)
            return [openvino.convert_model(network.eval(), example_input=torch.zeros(1, 2))]

        return cached_models(network, "sizes", ["network"], convert, cache_dir)

    return models, converted


@pytest.mark.parametrize("change", ["version", "switch"])
def test_a_network_that_computes_otherwise_with_the_same_weights_is_converted_anew(kept, monkeypatch, change):
    models, converted = kept
    network = Switched()
    models(network), models(network)
    assert len(converted) == 1
    if change == "version":
        monkeypatch.setattr("uniseg_nets.runtimes.cached.__version__", "0.0.0")
    else:
        network.doubled = True
    models(network)
    assert len(converted) == 2


def test_a_cache_that_cannot_be_written_or_has_lost_a_file_leaves_the_models_in_memory(kept, tmp_path, caplog):
    models, _ = kept
    (tmp_path / "file").write_text("")  # no folder can be made below it
    assert len(models(Switched(), tmp_path / "file" / "cache")) == 1
    assert "the converted network is not cached" in caplog.text
    network = Switched()
    models(network, tmp_path / "cache")
    next((tmp_path / "cache").glob("*/network.xml")).unlink()
    assert len(models(network, tmp_path / "cache")) == 1


def test_a_cached_network_without_its_weights_is_made_again(kept, tmp_path, caplog):
    models, _ = kept
    network = Switched()
    models(network, tmp_path)
    next(tmp_path.glob("*/network.bin")).unlink()
    assert len(models(network, tmp_path)) == 1 and "is damaged and is made again" in caplog.text
    assert next(tmp_path.glob("*/network.bin")).is_file()


@pytest.mark.skipif(os.name == "nt", reason="on Windows every user has a home")
def test_a_user_without_a_home_keeps_no_networks_and_is_told(monkeypatch, caplog):
    pytest.importorskip("openvino")
    from uniseg_nets.runtimes.cached import user_cache

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("os.getuid", lambda: 2**31 - 7)
    assert user_cache() is None and "name a folder in XDG_CACHE_HOME" in caplog.text


def test_a_result_records_what_auto_became(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    found = resolved_runtime("auto", "auto", torch.device("cpu"))
    assert found["runtime"] == "torch" and found["precision"] in ("fp32", "bf16")
    assert resolved_runtime("auto", "fp32", "cuda") == {"runtime": "torch", "precision": "fp32"}


def test_wrong_choices_say_what_there_is(network):
    with pytest.raises(ValueError, match=r"runtime 'onnx'.*'auto', 'torch'"):
        with_runtime(network, "onnx")
    with pytest.raises(ValueError, match="precision 'fp8'"):
        with_runtime(network, "torch", "fp8")


@pytest.mark.parametrize(("device", "runtime"), [("cuda", "torch"), ("cpu", "openvino")])
def test_auto_is_openvino_on_a_cpu_alone(monkeypatch, device, runtime):
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    assert resolve_runtime("auto", "fp32", torch.device(device)) == (runtime, "fp32")
    if device == "cuda":
        with pytest.raises(ValueError, match="openvino computes on a CPU, the network is on cuda"):
            resolve_runtime("openvino", "fp32", torch.device(device))


def test_auto_falls_back_to_torch_where_openvino_is_missing(network, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert type(with_runtime(network)).__name__ == "EagerRuntime"
    with pytest.raises(ImportError, match="pip install openvino"):
        with_runtime(network, "openvino")


def test_where_onednn_is_held_to_lesser_instructions_auto_is_torch_in_float32(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert resolve_runtime("auto", "auto", torch.device("cpu")) == ("torch", "fp32")
    with pytest.raises(ValueError, match="openvino cannot compute with ONEDNN_MAX_CPU_ISA=AVX2: unset it"):
        resolve_runtime("openvino", "fp32", torch.device("cpu"))


@needs_openvino
@pytest.mark.skipif(not hasattr(signal, "SIGCHLD"), reason="has no such signal")
@pytest.mark.parametrize("quantised", [False, True], ids=["converted", "quantised"])
def test_a_process_survives_the_end_of_its_children_after_runtimes_came_and_went(tmp_path, quantised):
    if quantised and find_spec("nncf") is None:  # its import would change the loggers of this process
        pytest.skip("NNCF is not installed")
    program = [sys.executable, "-X", "faulthandler", "-c", SEVERAL_RUNTIMES, str(tmp_path), str(quantised)]
    done = subprocess.run(program, capture_output=True, encoding="utf-8", check=False)  # NNCF draws bars
    assert (done.returncode, done.stdout.split()[-1:]) == (0, ["survived"]), done.stderr[-2000:]


@needs_openvino
def test_openvino_tells_its_makers_nothing():
    told = "import uniseg_nets.runtimes.openvino, openvino.tools.ovc.telemetry_utils as utils; print(utils.tm.__name__)"
    found = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["openvino.tools.ovc.telemetry_stub"]
