import re
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest

import uniseg_nets

ROOT = Path(__file__).parents[1]
SETUP = ConfigParser(interpolation=None)
SETUP.read(ROOT / "setup.cfg")


def test_every_package_of_the_tree_is_installed():
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in ROOT.glob("uniseg_nets/**/__init__.py")}
    assert set(SETUP["options"]["packages"].split()) == found | {"uniseg_nets.bundles"}


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


@pytest.mark.slow
def test_the_wheel_carries_the_bundles(tmp_path):
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "-q",
        "-w",
        str(tmp_path),
        ".",
    ]
    subprocess.run(command, cwd=ROOT, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    files = zipfile.ZipFile(wheel).namelist()
    for name in ("configs/inference.json", "configs/logging.conf", "models/demo.pt", "docs/README.md", "LICENSE"):
        assert f"uniseg_nets/bundles/uniseg_upstream/{name}" in files
