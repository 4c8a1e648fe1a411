import copy
import logging
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from tests.networks import ROI, small_uniseg
from tests.running import needs_openvino
from uniseg_nets.bundle.calibrate import calibrate_int8, mean_agreement
from uniseg_nets.bundle.segmenter import Segmenter
from uniseg_nets.data import find_cases
from uniseg_nets.io.errors import NotInstalledError
from uniseg_nets.runtimes import with_runtime
from uniseg_nets.runtimes.choose import resolve_runtime

pytestmark = [needs_openvino, pytest.mark.skipif(find_spec("nncf") is None, reason="NNCF is not installed")]


@pytest.fixture(scope="module")
def network():
    return small_uniseg()


@pytest.fixture(scope="module")
def recorder(network, tmp_path_factory):
    """A runtime that kept four of nine windows."""
    from uniseg_nets.runtimes.int8 import RecordingRuntime

    recorder = RecordingRuntime(network, 4, tmp_path_factory.mktemp("recorder"))
    torch.manual_seed(1)
    with torch.no_grad():
        for _ in range(9):
            recorder(torch.randn(1, 1, *ROI), 0)
    assert len(recorder.windows) == 4
    return recorder


@pytest.fixture(scope="module")
def quantised(network, recorder, tmp_path_factory):
    """The folder of a network that was calibrated for the liver."""
    from uniseg_nets.runtimes.int8 import quantise, store_int8

    cache = tmp_path_factory.mktemp("cache")
    store_int8(quantise(recorder), network, "liver", 0.99, cache)
    return cache


@pytest.mark.parametrize("size", [ROI, (48, 96, 64)])
def test_a_calibrated_network_is_close_to_float32_and_not_equal(network, quantised, size):
    fast = with_runtime(network, "openvino", "int8", quantised, task="liver")
    torch.manual_seed(2)
    x = torch.randn(1, 1, *size)
    with torch.no_grad():
        expected, found = network(x, 0), fast(x, 0)
    assert not torch.allclose(found, expected, atol=1e-4)
    assert torch.corrcoef(torch.stack((found.flatten(), expected.flatten())))[0, 1] > 0.97


def test_weights_keep_7_bits_or_8(network, recorder):
    from uniseg_nets.runtimes.int8 import quantise

    largest = {bits: _largest_weight(quantise(recorder, bits)["encoder"]) for bits in (7, 8)}
    assert largest == {7: 64, 8: 127}
    with pytest.raises(ValueError, match="weight_bits=9: expected 7 or 8"):
        calibrate_int8(["scan.nii.gz"], "liver", weight_bits=9)


def _largest_weight(model) -> int:
    """The largest absolute value of a model's weights of one byte."""
    constants = [node.data for node in model.get_ops() if node.get_type_name() == "Constant"]
    return max(int(np.abs(data.astype(int)).max()) for data in constants if data.dtype == np.int8)


@pytest.mark.parametrize(
    ("task", "message"),
    [("spleen", "not calibrated for spleen.*uniseg calibrate SCANS --task spleen"), (None, "needs the task")],
)
def test_what_was_not_calibrated_is_refused(network, quantised, task, message):
    with pytest.raises(ValueError, match=message):
        with_runtime(network, "openvino", "int8", quantised, task=task)


def test_other_weights_are_not_taken_for_the_calibrated_ones(network, quantised):
    other = small_uniseg(3)
    with pytest.raises(ValueError, match="not calibrated"):
        with_runtime(other, "openvino", "int8", quantised, task="liver")
    fast = with_runtime(copy.deepcopy(network), "openvino", "int8", quantised, task="liver")
    fast.load_state_dict(network.state_dict())
    with pytest.raises(ValueError, match="calibrated for other weights"):
        fast.load_state_dict(other.state_dict())


def test_label_maps_that_differ_too_much_are_refused(network, quantised, tmp_path):
    from uniseg_nets.runtimes.int8 import read_int8, store_int8

    store_int8(read_int8(network, "liver", quantised), network, "liver", 0.9, tmp_path)
    with pytest.raises(ValueError, match=r"Dice of 0\.900, at least 0\.95"):
        with_runtime(network, "openvino", "int8", tmp_path, task="liver")


@pytest.mark.parametrize(("runtime", "device"), [("torch", "cpu"), ("auto", "cuda"), ("compile", "cpu")])
def test_int8_needs_openvino(runtime, device):
    with pytest.raises(ValueError, match="int8 needs the runtime openvino"):
        resolve_runtime(runtime, "int8", torch.device(device))


def test_real_hippocampi_are_the_same_in_8_bits(test_data, tmp_path):
    scans = [case["image"] for case in find_cases(test_data / "data" / "hippocampus_mr")[:5]]
    assert calibrate_int8(scans[:4], "hippocampus", windows=8, cache_dir=tmp_path) > 0.95
    plain = Segmenter("uniseg_upstream", task="hippocampus", precision="fp32")
    expected = plain(scans[4])
    plain.network = with_runtime(plain.network.network, "openvino", "int8", tmp_path, "hippocampus")
    found = plain(scans[4])
    assert not np.array_equal(found, expected)
    assert (found == expected).mean() > 0.98


def test_a_calibration_without_nncf_says_what_to_install(monkeypatch):
    monkeypatch.setattr("uniseg_nets.bundle.calibrate.find_spec", lambda name: None if name == "nncf" else name)
    with pytest.raises(NotInstalledError, match="`pip install nncf`"):
        calibrate_int8(["scan.nii.gz"], "hippocampus")


def test_without_nncf_nothing_is_quantised_and_the_reason_is_told(monkeypatch):
    from uniseg_nets.runtimes.int8 import quantise

    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(NotInstalledError, match="a calibration needs nncf: `pip install nncf`"):
        quantise(None)


def test_a_calibration_leaves_logging_as_it_was(quantised):
    assert logging.getLoggerClass() is logging.Logger


def test_a_calibration_needs_scans_with_the_organ():
    with pytest.raises(ValueError, match="no scans"):
        calibrate_int8([], "hippocampus")
    empty, organ = np.zeros((4, 4, 4), np.uint8), np.ones((4, 4, 4), np.uint8)
    with pytest.raises(ValueError, match="nothing is found"):
        mean_agreement([empty], [empty])
    assert mean_agreement([organ, empty], [empty, empty]) == 0
