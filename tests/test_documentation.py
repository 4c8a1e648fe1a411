"""The documentation site and its notebook: built as it is published, executed as it stands."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "docs" / "notebooks" / "first_steps.ipynb"


def pages(entries):
    """The files that a navigation names."""
    for entry in entries:
        for target in entry.values() if isinstance(entry, dict) else [entry]:
            yield from pages(target) if isinstance(target, list) else [target]


def test_every_document_has_its_place_on_the_site():
    yaml = pytest.importorskip("yaml")
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    patterns = ("*.md", "docs/*.md", "docs/api/*.md", "docs/notebooks/*.ipynb", "bundles/*/docs/*.md")
    documents = {path.relative_to(ROOT).as_posix() for pattern in patterns for path in ROOT.glob(pattern)}
    named = list(pages(nav))
    assert documents | {"benchmarks/RESULTS.md"} == set(named) and len(named) == len(set(named))


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs_jupyter")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
    segmenter = (tmp_path / "site" / "docs" / "api" / "segmenter.html").read_text(encoding="utf-8")
    assert 'id="uniseg_nets.bundle.segmenter.Segmenter"' in segmenter
    home = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert 'href="docs/run.html"' in home and (tmp_path / "site" / "docs" / "open.png").is_file()


def test_the_notebook_is_kept_as_it_was_executed():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    kinds = [output["output_type"] for cell in code for output in cell["outputs"]]
    assert "display_data" in kinds and "error" not in kinds
    assert str(ROOT) not in NOTEBOOK.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_notebook_finds_both_hippocampi():
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel"), pytest.importorskip("nilearn")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell("import json; print(json.dumps(list(volumes.values())))"))
    nbclient.NotebookClient(notebook, timeout=500, kernel_name="python3").execute()
    volumes = json.loads(notebook.cells[-1].outputs[-1].text)
    assert len(volumes) == 4 and all(1 < millilitres < 4 for millilitres in volumes)
    assert any("image/png" in output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", []))
