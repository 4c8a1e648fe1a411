"""What the documents say is what the project does."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from uniseg_nets.cli.verbs import VERBS
from uniseg_nets.phantom import write_phantoms

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("bundles/*/docs/README.md"))]
IDS = [str(path.relative_to(ROOT)) for path in DOCUMENTS]


@pytest.mark.parametrize("document", DOCUMENTS, ids=IDS)
def test_links_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
        assert target.startswith("https://") or (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=IDS)
def test_commands_and_make_targets_exist(document):
    text = document.read_text()
    verbs = set(re.findall(r"(?:^    |`)uniseg ([a-z][a-z0-9-]*)", text, re.MULTILINE))
    assert verbs <= set(VERBS), verbs
    targets = set(re.findall(r"(?:^    |`)make ([a-z0-9-]+)", text, re.MULTILINE))
    known = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert targets <= known, targets


@pytest.mark.parametrize("document", DOCUMENTS, ids=IDS)
def test_configs_that_are_named_exist(document):
    names = re.findall(r"configs/([\w]+\.json)", document.read_text())
    assert all(list(ROOT.glob(f"bundles/*/configs/{name}")) for name in names), names


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch, table):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (name,) = write_phantoms(tmp_path, table.one("prostate"), 1, seed=7)
    shutil.copy(tmp_path / "imagesTr" / f"{name}_0000.nii.gz", tmp_path / "scan.nii.gz")
    monkeypatch.chdir(tmp_path)
    scope = {}
    exec(code, scope)
    assert scope["label_map"].shape == scope["scan"].shape
    assert set(np.unique(scope["label_map"])) <= {0, 3} and scope["segmenter"].labels[3] == "left_atrium"
