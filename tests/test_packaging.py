import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from configparser import ConfigParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import uniseg_nets

ROOT = Path(__file__).parents[1]
SCRIPTS = "Scripts" if os.name == "nt" else "bin"  # of a virtual environment
SETUP = ConfigParser(interpolation=None)
SETUP.read(ROOT / "setup.cfg")


def test_every_folder_of_the_package_is_installed():
    """A folder without ``__init__.py`` would be left out of the wheel in silence."""
    folders = {path.parent for path in ROOT.glob("uniseg_nets/**/*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_the_version_stands_everywhere_alike():
    version = uniseg_nets.__version__
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text()
    for metadata in ROOT.glob("bundles/*/configs/metadata.json"):
        assert f'"version": "{version}"' in metadata.read_text()
        assert f'"uniseg-nets": "{version}"' in metadata.read_text()


def test_configs_hold_no_logic():
    for path in ROOT.glob("bundles/*/configs/*.json"):
        for line in path.read_text().splitlines():
            assert not re.search(r'"\$.*(lambda| for .* in )|"\$[^"]{120,}"', line), f"{path}: {line}"


def test_the_command_runs_as_a_module():
    found = subprocess.run([sys.executable, "-m", "uniseg_nets", "tasks"], capture_output=True, text=True, check=True)
    assert "whole_body_tumour" in found.stdout


def test_nothing_says_that_the_package_comes_from_an_index():
    """It is installed from a checkout or from a wheel built there."""
    texts = [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("bundles/**/*.md"),
        *ROOT.glob("uniseg_nets/**/*.py"),
    ]
    assert len(texts) > 100
    for path in texts:
        assert not re.search(r"pip install[^#\n]*uniseg-nets", path.read_text()), path


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy without what earlier builds left."""
    folder = tmp_path_factory.mktemp("wheel")
    made = {"uniseg_nets": ["__pycache__"], "bundles": ["runs", "eval", "fold*", "model*.pt*"]}
    for name, unwanted in made.items():
        shutil.copytree(ROOT / name, folder / "source" / name, ignore=shutil.ignore_patterns(*unwanted))
    for name in ("setup.cfg", "setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "source" / name)
    options = ["--no-deps", "--no-build-isolation", "-q", "-w", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, "."], cwd=folder / "source", check=True)
    (found,) = folder.glob("*.whl")
    return found


@pytest.mark.slow
def test_the_wheel_carries_every_file_of_package_and_bundles(wheel):
    files = set(zipfile.ZipFile(wheel).namelist())
    source = wheel.parent / "source"
    package = {path.relative_to(source).as_posix() for path in source.glob("uniseg_nets/**/*") if path.is_file()}
    shipped = [path.relative_to(source).as_posix() for path in source.glob("bundles/**/*") if path.is_file()]
    bundles = {f"uniseg_nets/{path}" for path in shipped}
    assert {f"uniseg_nets/bundles/uniseg_upstream/{name}" for name in ("models/demo.pt", "LICENSE.weights")} <= bundles
    assert package | bundles <= files, sorted((package | bundles) - files)


@pytest.mark.slow
def test_the_wheel_alone_runs_the_demo_and_segments_by_the_open_weights(wheel, tmp_path):
    """With its dependencies from the index, from a folder of its own, with nothing of the checkout at hand."""
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    same = f"torch=={torch.__version__.partition('+')[0]}"
    pip = [str(tmp_path / "venv" / SCRIPTS / "python"), "-m", "pip", "install", "-q"]
    subprocess.run([*pip, same, str(wheel)], cwd=tmp_path, env=environment, check=True)
    (tmp_path / "work").mkdir()
    scan = "out/scans/liver/imagesTr/liver_0007_0000.nii.gz"
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 256), dtype=np.uint8))
    image.save(tmp_path / "work" / "head.png")
    for words in (
        ["demo", "out"],
        ["segment", scan, "atrium.nii.gz", "--task", "left_atrium"],
        ["segment-2d", "head.png", "masks", "--modality", "ultrasound"],
    ):
        command = [str(tmp_path / "venv" / SCRIPTS / "uniseg"), *words]
        begun = time.monotonic()
        found = subprocess.run(
            command, cwd=tmp_path / "work", env=environment, capture_output=True, text=True, check=False
        )
        print(f"uniseg {' '.join(words)}: {time.monotonic() - begun:.1f} s")
        assert found.returncode == 0, found.stderr[-3000:]
        assert str(ROOT) not in found.stdout + found.stderr
    assert (tmp_path / "work" / "out" / "label_maps" / "liver" / "phantom.nii.gz").is_file()
    assert (tmp_path / "work" / "atrium.nii.gz").is_file()
    assert (tmp_path / "work" / "masks" / "head_mask.png").is_file()
