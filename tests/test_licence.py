"""The authors' terms go with their weights: fetched, converted, planned with, packed."""

import json
import sys
import zipfile
from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Engine

from tests.test_plan import write_case
from uniseg_nets import PromptTunedUniSeg, UniSeg
from uniseg_nets.bundle.pack import pack_bundle
from uniseg_nets.cli.weights import fetch_weights
from uniseg_nets.handlers import WeightFiles
from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.io.errors import NotInstalledError
from uniseg_nets.plan import PlanOptions, plan_dataset
from uniseg_nets.weights import fetch
from uniseg_nets.weights.checkpoints import convert, initial_terms, save_weights
from uniseg_nets.weights.licence import AUTHORS_TERMS, OPEN_2D_TERMS, OPEN_TERMS, mark_terms, terms_of, terms_text
from uniseg_nets.weights.transfer import load_pretrained

SIZES = {"base_features": 4, "max_features": 8, "patch_size": [32, 64, 64]}


@pytest.fixture
def ours(tmp_path):
    save_weights(UniSeg(**SIZES).state_dict(), tmp_path / "ours.pt")
    return tmp_path / "ours.pt"


@pytest.fixture
def official(ours, tmp_path):
    """A file as the authors' release has it, with nothing beside it."""
    convert(ours, tmp_path / "official.pth", to_official=True)
    return tmp_path / "official.pth"


@pytest.fixture
def packed(tmp_path):
    """Plans for weights, packs the network it starts from, and gives the plan and the archive's files."""

    def pack(weights, edit=lambda plan: None, tuned=lambda path: None):
        for index in range(2):
            write_case(tmp_path / "data", f"case{index}", seed=index)
        plan = plan_dataset(tmp_path / "data", tmp_path / "plan.json", PlanOptions(weights=str(weights)))
        edit(plan)
        (tmp_path / "plan.json").write_text(json.dumps(plan))
        network = PromptTunedUniSeg(plan["slot"], in_channels=[2], out_channels=3, **SIZES)
        save_weights(load_pretrained(network, weights).state_dict(), tmp_path / "tuned.pt")
        tuned(tmp_path / "tuned.pt")
        archive = zipfile.ZipFile(pack_bundle(tmp_path / "out", tmp_path / "plan.json", [tmp_path / "tuned.pt"]))
        return plan, {
            name.partition("/")[2]: archive.read(name).decode(errors="replace") for name in archive.namelist()
        }

    return pack


def test_bundles_that_build_on_the_authors_weights_hold_one_text():
    texts = {(bundle_folder(name) / AUTHORS_TERMS).read_text() for name in ("uniseg_upstream", "uniseg_finetune")}
    assert texts == {terms_text(AUTHORS_TERMS)} and "UniSeg for non-commercial purposes" in terms_text(AUTHORS_TERMS)


def test_the_terms_are_printed_before_anything_is_downloaded(monkeypatch, capsys, tmp_path, official):
    said = []

    def download(path):
        said.append(capsys.readouterr().out)
        path.write_bytes(official.read_bytes())

    monkeypatch.setattr(fetch, "_download", download)
    fetch_weights(output=str(tmp_path / "models" / "model.pt"))
    assert said == [terms_text(AUTHORS_TERMS) + "\n"]
    assert (tmp_path / "models" / "model.pt.license").read_text() == terms_text(AUTHORS_TERMS)


def test_a_file_of_the_authors_layout_is_taken_for_theirs_and_own_weights_are_not(ours, official, tmp_path):
    mark = tmp_path / "model.pt.license"
    convert(official, tmp_path / "model.pt")
    assert mark.read_text() == terms_text(AUTHORS_TERMS)
    convert(tmp_path / "model.pt", tmp_path / "again.pth", to_official=True)
    assert (tmp_path / "again.pth.license").is_file()
    convert(ours, tmp_path / "model.pt")  # in its place
    assert not mark.exists()


def test_a_bundle_tuned_from_the_authors_weights_says_so(official, packed):
    plan, files = packed(official)
    assert plan["pretrained_license"] == AUTHORS_TERMS
    assert files[AUTHORS_TERMS] == files["models/model.pt.license"] == terms_text(AUTHORS_TERMS)
    metadata = json.loads(files["configs/metadata.json"])
    assert "for non-commercial purposes only, see LICENSE.weights" in metadata["weights_license"]
    assert "for non-commercial purposes only: see LICENSE.weights" in files["docs/README.md"]


def test_a_bundle_tuned_from_own_weights_does_not(ours, packed):
    plan, files = packed(ours)
    assert plan["pretrained_license"] is None
    assert AUTHORS_TERMS not in files and "models/model.pt.license" not in files
    assert "non-commercial" not in files["docs/README.md"] + files["configs/metadata.json"]


def test_a_training_that_starts_from_the_authors_weights_marks_what_it_leaves(tmp_path):
    state = SimpleNamespace(epoch=1, best_metric_epoch=1)
    for terms in (AUTHORS_TERMS, OPEN_TERMS, OPEN_2D_TERMS, None):  # each in the place of the one before
        files = [tmp_path / "best.pt", tmp_path / "final.pt"]
        handler = WeightFiles(torch.nn.Linear(1, 1), SimpleNamespace(state=state), *files, pretrained_license=terms)
        engine = Engine(lambda engine, batch: None)
        handler.attach(engine)
        engine.run([0], max_epochs=1)
        assert [terms_of(file) for file in files] == [terms] * 2


def test_marked_weights_are_packed_with_their_terms_whatever_the_plan_says(ours, packed):
    _, files = packed(ours, tuned=lambda path: mark_terms(path, AUTHORS_TERMS))
    assert files[AUTHORS_TERMS] == terms_text(AUTHORS_TERMS)


def test_a_bundle_tuned_from_the_open_weights_is_shared_alike(ours, packed):
    mark_terms(ours, OPEN_TERMS)
    plan, files = packed(ours)
    assert plan["pretrained_license"] == OPEN_TERMS
    assert files[OPEN_TERMS] == files["models/model.pt.license"] == terms_text(OPEN_TERMS)
    assert "CC BY-SA 4.0, see LICENSE.open_weights" in json.loads(files["configs/metadata.json"])["weights_license"]
    assert AUTHORS_TERMS not in files


def test_of_two_terms_the_stricter_bind(ours, packed):
    mark_terms(ours, OPEN_TERMS)
    _, files = packed(ours, tuned=lambda path: mark_terms(path, AUTHORS_TERMS))
    assert files["models/model.pt.license"] == terms_text(AUTHORS_TERMS) and OPEN_TERMS not in files


def test_a_training_from_several_files_has_the_strictest_of_their_terms(ours, official):
    mark_terms(ours, OPEN_2D_TERMS)
    assert initial_terms(ours) == initial_terms([ours, None]) == OPEN_2D_TERMS
    assert initial_terms([ours, official]) == AUTHORS_TERMS and initial_terms([None]) is None


def test_terms_in_other_words_are_taken_for_the_authors(ours):
    ours.with_name("ours.pt.license").write_text("terms of an earlier version")
    assert terms_of(ours) == AUTHORS_TERMS


def test_a_plan_that_says_nothing_of_the_licence_is_packed_with_the_authors_terms(ours, packed):
    _, files = packed(ours, lambda plan: plan.pop("pretrained_license"))
    assert files[AUTHORS_TERMS] == terms_text(AUTHORS_TERMS)


def test_without_gdown_the_message_names_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "gdown", None)
    with pytest.raises(NotInstalledError, match=r"`pip install gdown`; or, without it, download https://"):
        fetch.fetch_weights(tmp_path / "model.pt")
    assert not list(tmp_path.iterdir())
