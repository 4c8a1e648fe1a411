"""Weights as .safetensors: the same tensors, taken wherever a checkpoint is."""

import hashlib
import json
import sys

import pytest
import torch

from tests.test_checkpoints import SMALL
from uniseg_nets import UniSeg
from uniseg_nets.io.errors import NotInstalledError
from uniseg_nets.weights.checkpoints import convert, read_state, read_weights, save_weights

safetensors = pytest.importorskip("safetensors")


@pytest.fixture
def ours(tmp_path):
    path = tmp_path / "ours.pt"
    save_weights(UniSeg(**SMALL).state_dict(), path)
    return path


def same(first, second):
    return set(first) == set(second) and all(torch.equal(first[name], second[name]) for name in first)


def test_conversion_there_and_back_is_bit_exact_and_from_the_official_layout_too(ours, tmp_path):
    convert(ours, tmp_path / "a.safetensors")
    convert(tmp_path / "a.safetensors", tmp_path / "official.pth", to_official=True)
    convert(tmp_path / "official.pth", tmp_path / "b.safetensors")
    first = read_weights(ours)
    for name in ("a.safetensors", "b.safetensors"):
        found = read_weights(tmp_path / name)
        assert same(found.state, first.state) and found.sizes == first.sizes and not found.official


def test_others_read_the_tensors_and_the_network_s_sizes_from_the_header(ours, tmp_path):
    convert(ours, tmp_path / "a.safetensors")
    with safetensors.safe_open(tmp_path / "a.safetensors", framework="pt") as file:
        header = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert header["format"] == "pt" and "uniseg_nets" in header
    UniSeg(**json.loads(header["sizes"])).load_state_dict(tensors)
    digest = hashlib.sha256((tmp_path / "a.safetensors").read_bytes()).hexdigest()
    assert (tmp_path / "a.safetensors.sha256").read_text() == f"{digest}  a.safetensors\n"


def test_the_terms_of_the_authors_go_along(ours, tmp_path):
    convert(ours, tmp_path / "official.pth", to_official=True)
    convert(tmp_path / "official.pth", tmp_path / "a.safetensors")
    assert (tmp_path / "a.safetensors.license").is_file()


def test_tensors_that_lie_otherwise_in_memory_are_written_as_they_are(tmp_path):
    state = {"a": torch.arange(6.0).reshape(2, 3).T, "b": torch.zeros(1, dtype=torch.int64)}
    save_weights(state, tmp_path / "a.safetensors")
    assert same(read_state(tmp_path / "a.safetensors")[0], state)


def test_a_broken_file_is_named(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"hello, this is no header")
    with pytest.raises(ValueError, match=r"a\.safetensors cannot be read as safetensors weights"):
        read_weights(tmp_path / "a.safetensors")


def test_the_official_layout_is_refused_as_safetensors(ours, tmp_path):
    with pytest.raises(ValueError, match=r"the official layout is a PyTorch file; name one that ends in \.pt"):
        convert(ours, tmp_path / "a.safetensors", to_official=True)
    assert not (tmp_path / "a.safetensors").exists()


def test_without_the_library_the_remedy_is_told_before_any_work(ours, tmp_path, monkeypatch):
    convert(ours, tmp_path / "a.safetensors")
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    with pytest.raises(NotInstalledError, match="`pip install safetensors`"):
        read_weights(tmp_path / "a.safetensors")
    with pytest.raises(NotInstalledError, match="`pip install safetensors`"):
        convert(tmp_path / "gone.pt", tmp_path / "b.safetensors")
