"""Bundles on the Hugging Face Hub, by MONAI's own verbs, against a stand-in for its API."""

import filecmp
import json
import shlex
import subprocess
import sys

import numpy as np
import pytest
import yaml
from monai.bundle import download_large_files, push_to_hf_hub

from tests.hub_server import served
from tests.running import copied, run
from uniseg_nets.bundle.contents import zip_bundle
from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.version import __version__
from uniseg_nets.weights.licence import AUTHORS_TERMS, OPEN_2D_TERMS, OPEN_TERMS, mark_terms

constants = pytest.importorskip("huggingface_hub").constants
BUNDLES = ("uniseg_upstream", "uniseg_finetune", "unetr_prompt_tuning", "esp_medsam_2d")
# What the zoo's folder hf_models asks of metadata, beyond the schema of bundles.
OF_THE_HUB = ("name", "huggingface_model_id", "huggingface_url")


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub on this machine, which this process and those that it starts take for the real one."""
    with served() as (hub, address):
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        for name, value in (("HF_ENDPOINT", address), ("HF_TOKEN", "hf_test"), ("HF_HOME", str(tmp_path / "home"))):
            monkeypatch.setenv(name, value)
        yield hub


def front_matter(folder):
    _, head, text = (folder / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(head), text


@pytest.mark.slow
def test_a_bundle_goes_to_the_hub_and_back_and_segments(uniseg, hub, tmp_path, write_scan, capsys):
    assert uniseg("hub-folder", "uniseg_upstream", "someone/uniseg", tmp_path / "out") == 0
    program, *words = shlex.split(capsys.readouterr().out.splitlines()[-1])
    assert program == "python"
    subprocess.run([sys.executable, *words], check=True)
    assert hub.private == {"someone/uniseg"} and list(hub.tags["someone/uniseg"]) == [__version__]
    words = [
        "download",
        "--name=uniseg",
        "--source=huggingface_hub",
        "--repo=someone/uniseg",
        f"--version={__version__}",
    ]
    command = [sys.executable, "-m", "monai.bundle", *words, f"--bundle_dir={tmp_path / 'back'}"]
    subprocess.run(command, check=True)
    written, back = tmp_path / "out" / "uniseg", tmp_path / "back" / "uniseg"
    names = sorted(path.relative_to(written).as_posix() for path in written.rglob("*") if path.is_file())
    assert {"README.md", "models/open.pt", "models/open.pt.license", "LICENSE.open_weights"} < set(names)
    assert filecmp.cmpfiles(written, back, names, shallow=False) == (names, [], [])
    scan = write_scan("scans/a.nii.gz", np.random.default_rng(0).random((36, 50, 36), dtype=np.float32))
    options = {"dataset_dir": scan.parent, "task": "hippocampus", "output_dir": tmp_path / "maps"}
    run("run", back, ["inference.json", "open.json"], **options)
    assert (tmp_path / "maps" / "a.nii.gz").is_file()


def test_weights_of_a_bundle_of_the_hub_are_fetched_and_checked_by_their_hash(uniseg, hub, tmp_path):
    assert uniseg("hub-folder", "uniseg_upstream", "someone/uniseg", tmp_path) == 0
    push_to_hf_hub("someone/uniseg", "uniseg", str(tmp_path), version=__version__)
    weights = tmp_path / "uniseg" / "models" / "open.pt"
    content = weights.read_bytes()
    weights.unlink()
    download_large_files(str(tmp_path / "uniseg"))
    assert weights.read_bytes() == content
    weights.write_bytes(content[:-1] + b"?")
    with pytest.raises(ValueError, match="sha256"):
        download_large_files(str(tmp_path / "uniseg"))


@pytest.mark.parametrize("name", BUNDLES)
def test_a_card_says_what_the_bundle_is_and_leads_nowhere_outside(uniseg, name, tmp_path):
    assert uniseg("hub-folder", name, f"someone/{name}", tmp_path) == 0
    folder = tmp_path / name
    card, text = front_matter(folder)
    licences = {"uniseg_upstream": "cc-by-sa-4.0", "esp_medsam_2d": "cc-by-4.0"}
    assert card["license"] == licences.get(name, "apache-2.0")
    assert (card["library_name"], card["pipeline_tag"]) == ("monai", "image-segmentation") and "medical" in card["tags"]
    assert text.lstrip().startswith("# ") and "](../" not in text
    metadata = json.loads((folder / "configs" / "metadata.json").read_text())
    assert set(OF_THE_HUB) <= set(metadata) and metadata["huggingface_url"].endswith(f"/someone/{name}")
    listed = yaml.safe_load((folder / "large_files.yml").read_text())["large_files"]
    weights = {path.relative_to(folder).as_posix() for path in folder.rglob("*.pt")}
    assert {one["path"] for one in listed} == weights
    assert all(f"/someone/{name}/resolve/{__version__}/{one['path']}" in one["url"] for one in listed)


@pytest.mark.parametrize(
    ("terms", "licence"),
    [
        ((AUTHORS_TERMS, OPEN_TERMS), "other"),
        ((OPEN_TERMS, OPEN_2D_TERMS), "cc-by-sa-4.0"),
        ((OPEN_2D_TERMS, None), "cc-by-4.0"),
        ((), "apache-2.0"),
    ],
)
def test_the_licence_of_a_card_is_the_strictest_of_its_weights(uniseg, tmp_path, terms, licence):
    bundle = copied(bundle_folder("unetr_prompt_tuning"), tmp_path)
    for number, one in enumerate(terms):
        (bundle / "models").mkdir(exist_ok=True)
        (bundle / "models" / f"{number}.pt").write_bytes(b"weights")
        mark_terms(bundle / "models" / f"{number}.pt", one)
    assert uniseg("hub-folder", bundle, "someone/own", tmp_path) == 0
    card, _ = front_matter(tmp_path / "own")
    assert card["license"] == licence and ("license_link" in card) == (licence == "other")


def test_links_of_a_card_are_those_of_its_new_place(uniseg, tmp_path):
    bundle = copied(bundle_folder("unetr_prompt_tuning"), tmp_path)
    (bundle / "docs" / "README.md").write_text(
        "[a](data_license.txt#x) ![b](../LICENSE) [c](../../../README.md) [d](https://monai.io) [e](#here)"
    )
    assert uniseg("hub-folder", bundle, "someone/own", tmp_path) == 0
    expected = "[a](docs/data_license.txt#x) ![b](LICENSE) c [d](https://monai.io) [e](#here)"
    assert front_matter(tmp_path / "own")[1].strip() == expected


def test_a_folder_for_the_hub_is_refused_before_anything_is_written(uniseg, tmp_path, caplog):
    bundle = copied(bundle_folder("unetr_prompt_tuning"), tmp_path)
    assert uniseg("hub-folder", bundle, "own", tmp_path / "out") == 1
    assert "expected OWNER/NAME" in caplog.text
    assert uniseg("hub-folder", bundle, "someone/..", tmp_path / "out") == 1
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text()) | {"weights_license": "unnamed"}
    (bundle / "configs" / "metadata.json").write_text(json.dumps(metadata))
    assert uniseg("hub-folder", bundle, "someone/own", tmp_path / "out") == 1
    assert "--licence apache-2.0" in caplog.text and not (tmp_path / "out").exists()
    archive = zip_bundle(bundle, tmp_path)
    assert uniseg("hub-folder", archive, "someone/own", tmp_path / "out", "--licence", "mit") == 0
    assert front_matter(tmp_path / "out" / "own")[0]["license"] == "mit"
    assert uniseg("hub-folder", bundle, "someone/own", tmp_path / "out", "--licence", "mit") == 1
    assert "own exists" in caplog.text
