import hashlib
import json
import pickle

import numpy as np
import pytest
import torch

from uniseg_nets import UniSeg
from uniseg_nets.io.files import sha256_of_weights
from uniseg_nets.weights.checkpoints import convert, load_network, read_state, read_weights, save_weights

SMALL = {"base_features": 4, "max_features": 8, "patch_size": [32, 64, 64]}


@pytest.fixture
def ours(tmp_path):
    path = tmp_path / "ours.pt"
    save_weights(UniSeg(**SMALL).state_dict(), path)
    return path


@pytest.fixture
def official(ours, tmp_path):
    path = tmp_path / "official.pth"
    convert(ours, path, to_official=True)
    return path


def edited(path, edit):
    content = torch.load(path, weights_only=True)
    edit(content.get("state_dict", content))
    torch.save(content, path)
    digest_beside(path).unlink()
    return path


def digest_beside(path):
    return path.with_name(f"{path.name}.sha256")


def test_sizes_are_read_from_the_tensors(ours, official):
    for path in (ours, official):
        found = read_weights(path)
        assert found.sizes == {"num_tasks": 11, "out_channels": 4, "in_channels": [1, 2, 4], **SMALL}
    assert "official layout, 115 tensors" in str(read_weights(official))


@pytest.mark.parametrize("sizes", [{"out_channels": 3}, {"num_tasks": 5}, {"in_channels": [1, 3]}])
def test_other_sizes_are_read_from_the_tensors_too(sizes, tmp_path):
    save_weights(UniSeg(**SMALL, **sizes).state_dict(), tmp_path / "a.pt")
    convert(tmp_path / "a.pt", tmp_path / "official.pt", to_official=True)
    for name in ("a.pt", "official.pt"):
        assert sizes.items() <= read_weights(tmp_path / name).sizes.items()


def test_conversion_there_and_back_is_bit_exact(ours, official, tmp_path):
    convert(official, tmp_path / "again.pt")
    first, again = read_weights(ours).state, read_weights(tmp_path / "again.pt").state
    assert set(first) == set(again)
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_official_names_and_shapes_are_those_of_the_release(test_data, tmp_path):
    layout = json.loads((test_data / "parity" / "official_layout.json").read_text())
    save_weights(UniSeg().state_dict(), tmp_path / "full.pt")
    convert(tmp_path / "full.pt", tmp_path / "full.pth", to_official=True)
    state = torch.load(tmp_path / "full.pth", weights_only=True)["state_dict"]
    assert {name: list(tensor.shape) for name, tensor in state.items()} == layout["tensors"]


def test_a_released_file_converts_there_and_back_bit_for_bit(test_data, tmp_path):
    release = test_data / "parity" / "official_tiny.pth"
    convert(release, tmp_path / "ours.pt")
    convert(tmp_path / "ours.pt", tmp_path / "back.pth", to_official=True)
    with torch.serialization.safe_globals([]), pytest.raises(pickle.UnpicklingError):
        torch.load(release, weights_only=True)  # numpy scalars: the reason why reading needs care
    before = torch.load(release, weights_only=False)["state_dict"]
    after = torch.load(tmp_path / "back.pth", weights_only=True)["state_dict"]
    assert list(before) == list(after)
    assert all(torch.equal(before[name].cpu(), after[name]) for name in before)


def test_logits_equal_the_official_network_s(test_data):
    network = load_network(UniSeg(), test_data / "parity" / "official_tiny.pth").eval()
    expected = np.load(test_data / "parity" / "logits.npz")
    for key in expected.files:
        channels, task = (int(part.strip("ctask")) for part in key.split("_"))
        x = np.random.default_rng(0).standard_normal((1, channels, 64, 192, 192), dtype=np.float32)
        with torch.no_grad():
            logits = network(torch.from_numpy(x), task)[0, :, ::8, ::8, ::8].numpy()
        assert np.abs(logits - expected[key]).max() / np.abs(expected[key]).max() < 1e-4


def test_data_parallel_names_are_understood(official):
    content = torch.load(official, weights_only=True)
    content["state_dict"] = {"module." + name: tensor for name, tensor in content["state_dict"].items()}
    torch.save(content, official)
    digest_beside(official).unlink()
    assert read_weights(official).official


@pytest.mark.parametrize("name", ["tu.2.weight", "intermedia_prompt", "seg_outputs.4.weight"])
def test_a_missing_tensor_is_named_as_the_file_calls_it(official, name):
    edited(official, lambda state: state.pop(name))
    with pytest.raises(ValueError, match=name):
        read_weights(official)


def test_a_renamed_tensor_is_named(official):
    edited(official, lambda state: state.update({"tu.2.wait": state.pop("tu.2.weight")}))
    with pytest.raises(ValueError, match=r"missing tu\.2\.weight; unexpected tu\.2\.wait"):
        read_weights(official)


def test_a_tensor_of_another_shape_is_named_with_both_shapes(official):
    edited(official, lambda state: state.update({"tu.2.weight": state["tu.2.weight"][:-1]}))
    with pytest.raises(ValueError, match=r"tu\.2\.weight has shape \(7, .*expected \(8, "):
        read_weights(official)


def test_a_left_over_tensor_is_named(ours):
    edited(ours, lambda state: state.update({"extra": torch.zeros(1)}))
    with pytest.raises(ValueError, match="unexpected extra"):
        read_weights(ours)


class Malicious:
    def __reduce__(self):
        return print, ("executed",)


def test_a_file_that_would_run_code_is_refused(tmp_path, capsys):
    path = tmp_path / "bad.pt"
    torch.save({"state_dict": Malicious()}, path)
    with pytest.raises(ValueError, match="cannot be read"):
        read_weights(path)
    assert "executed" not in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 half a zip"])
def test_what_is_no_checkpoint_is_refused_by_name(tmp_path, content):
    path = tmp_path / "broken.pt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.pt"):
        read_weights(path)


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    torch.save({"conv.weight": torch.zeros(3)}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"is no UniSeg checkpoint: it lacks .*; it has conv\.weight"):
        read_weights(tmp_path / "other.pt")


def test_missing_weights_say_how_to_get_them(tmp_path):
    with pytest.raises(FileNotFoundError, match="uniseg fetch-weights"):
        read_weights(tmp_path / "none.pt")


@pytest.mark.parametrize(
    ("file", "way"),
    [
        ("esp_medsam_2d/models/teacher.pt", r"the training of the teacher writes it \(train_teacher\.json\)"),
        ("esp_medsam_2d/models/stage1.pt", r"the first stage of the distillation writes it \(distill_stage1\.json\)"),
        ("esp_medsam_2d/models/model.pt", "a training writes it$"),
        ("own/models/trained/model.pt", "a training writes it$"),
    ],
)
def test_missing_weights_of_other_networks_are_not_those_of_the_authors(tmp_path, file, way):
    with pytest.raises(FileNotFoundError, match=rf"no weights at .*\.pt: {way}") as missing:
        read_state(tmp_path / file)
    assert "fetch-weights" not in str(missing.value)


def test_load_network_takes_the_file_s_features_with_a_warning(ours, caplog):
    network = load_network(UniSeg(base_features=8, max_features=8, patch_size=[32, 64, 64]), ours)
    assert network.state_dict()["encoder.stem.norm.weight"].shape == (4,)
    assert "other sizes" in caplog.text


def test_load_network_refuses_weights_of_another_task_table(ours):
    with pytest.raises(ValueError, match=r"trained on 11 tasks.*has 3 tasks"):
        load_network(UniSeg(num_tasks=3, **SMALL), ours)


def test_save_weights_records_the_hash_and_leaves_no_rest(tmp_path):
    digest = save_weights({"a": torch.ones(2)}, tmp_path / "w.pt")
    assert digest == hashlib.sha256((tmp_path / "w.pt").read_bytes()).hexdigest()
    assert (tmp_path / "w.pt.sha256").read_text() == f"{digest}  w.pt\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["w.pt", "w.pt.sha256"]


@pytest.mark.parametrize("to_official", [False, True])
def test_converted_weights_have_their_hash_beside_them_in_either_layout(ours, tmp_path, to_official):
    _, digest = convert(ours, tmp_path / "model.pt", to_official)
    assert digest == hashlib.sha256((tmp_path / "model.pt").read_bytes()).hexdigest()
    assert (tmp_path / "model.pt.sha256").read_text() == f"{digest}  model.pt\n"


def test_a_failed_conversion_leaves_the_older_file(official, tmp_path):
    target = tmp_path / "model.pt"
    target.write_bytes(b"older")
    edited(official, lambda state: state.pop("tu.0.weight"))
    with pytest.raises(ValueError, match=r"tu\.0\.weight"):
        convert(official, target)
    assert target.read_bytes() == b"older"


def test_weights_with_a_changed_byte_are_refused(ours, tmp_path):
    content = bytearray(ours.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "changed.pt").write_bytes(content)
    with pytest.raises(ValueError, match=r"changed\.pt cannot be read as PyTorch weights: .* damaged"):
        read_weights(tmp_path / "changed.pt")


def test_weights_of_another_sha256_than_the_one_beside_them_are_refused(ours, tmp_path):
    read_weights(ours)
    save_weights(UniSeg(**SMALL).state_dict(), tmp_path / "other.pt")
    (tmp_path / "other.pt").replace(ours)
    with pytest.raises(
        ValueError, match=r"ours\.pt is not the file .*if you replaced the weights .*delete ours\.pt\.sha"
    ):
        read_weights(ours)
    digest_beside(ours).unlink()
    read_weights(ours)


def test_the_digest_of_weights_may_be_in_capitals_and_of_another_program(ours):
    digest = digest_beside(ours).read_text().split()[0]
    digest_beside(ours).write_text(f"SHA256 (ours.pt) = {digest.upper()}\n")
    read_weights(ours)


def test_of_a_list_of_digests_the_line_of_the_weights_counts(ours):
    own = digest_beside(ours).read_text()
    digest_beside(ours).write_text(f"{'0' * 64}  other.pt\n{own}")
    read_weights(ours)


def test_weights_of_a_training_that_was_killed_before_it_wrote_their_digest_are_read(ours, monkeypatch):
    def killed(_path, _ending, text):
        if text is not None:
            raise KeyboardInterrupt
        digest_beside(ours).unlink()

    monkeypatch.setattr("uniseg_nets.weights.checkpoints.write_beside", killed)
    with pytest.raises(KeyboardInterrupt):
        save_weights(UniSeg(**SMALL).state_dict(), ours)
    read_weights(ours)


def test_weights_that_cannot_be_written_are_named_with_the_room_that_is_left(ours, monkeypatch):
    before = ours.read_bytes()

    def full(*_):
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(
        OSError, match=r"ours\.pt cannot be written, \d+ MiB are free there: make room.*unexpected pos 64"
    ):
        save_weights(UniSeg(**SMALL).state_dict(), ours)
    assert ours.read_bytes() == before
    read_weights(ours)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"garbage", "holds no SHA-256"), (b"", "holds no SHA-256"), (bytes(range(256)), "it holds no text")],
)
def test_a_digest_file_of_something_else_is_refused_by_name(ours, content, message):
    digest_beside(ours).write_bytes(content)
    with pytest.raises(ValueError, match=rf"ours\.pt\.sha256 .*{message}.*delete it"):
        read_weights(ours)


def test_weights_are_hashed_once_for_their_check_and_their_record(ours, monkeypatch):
    read_weights(ours)
    monkeypatch.setattr("uniseg_nets.io.files.sha256_of", lambda path: pytest.fail("hashed again"))
    assert sha256_of_weights(ours) == digest_beside(ours).read_text().split()[0]
