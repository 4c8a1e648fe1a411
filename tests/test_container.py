"""The image's recipe: what it takes from the checkout, and who runs it."""

import fnmatch
import re
from pathlib import Path

from tests.test_packaging import ROOT

RECIPE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
IGNORED = [line for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[0] != "#"]
# What setuptools reads, see the wheel of tests/test_packaging.py.
SOURCES = {"setup.cfg", "setup.py", "pyproject.toml", "README.md", "LICENSE", "uniseg_nets", "bundles"}


def kept(path):
    """Whether a file of the checkout is sent to the build: the last pattern that fits it, or its folder, decides."""
    names = [path, *(parent.as_posix() for parent in Path(path).parents)]
    found = True
    for line in IGNORED:
        pattern = line.removeprefix("!").removeprefix("**/")
        if any(fnmatch.fnmatch(name, pattern) for name in names):
            found = line.startswith("!")
    return found


def test_the_image_holds_the_package_and_runs_it_as_a_user():
    copied = re.findall(r"^COPY (?!--from)(.+) /source\S*$", RECIPE, re.MULTILINE)
    assert {word for line in copied for word in line.split()} == SOURCES
    assert all((ROOT / name).exists() for name in SOURCES)
    assert RECIPE.index("\nUSER uniseg\n") < RECIPE.index('ENTRYPOINT ["uniseg"]')
    assert "\nENV USER=uniseg XDG_CACHE_HOME=/tmp/cache " in RECIPE  # also for users without a name and a home


def test_nothing_of_a_training_or_of_a_patient_is_sent_to_the_build():
    assert kept("setup.cfg") and kept("uniseg_nets/tasks/shipped.py") and kept("bundles/uniseg_upstream/models/open.pt")
    assert kept("bundles/uniseg_upstream/configs/train.json")
    for path in ("demo/scan.nii.gz", ".git/config", "bundles/uniseg_upstream/models/model.pt"):
        assert not kept(path), path
    assert not kept("bundles/uniseg_upstream/runs/log.txt") and not kept("bundles/uniseg_upstream/eval/cases.csv")


def test_the_recipe_names_no_index_and_no_host():
    assert "://" not in RECIPE
    (version,) = re.findall(r'ARG TORCH="(.+)"', RECIPE)
    assert f"TORCH  ?= {version}\n" in (ROOT / "Makefile").read_text(encoding="utf-8")
