"""What a repository tells those who come to it: workflows, forms, and pages at its root."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import uniseg_nets
from uniseg_nets.cli.verbs import VERBS

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = [path for path in sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")) if path.stem != "config"]
CHECKED = {
    "github-workflows": WORKFLOWS,
    "dependabot": [ROOT / ".github" / "dependabot.yml"],
    "github-issue-forms": FORMS,
    "github-issue-config": [ROOT / ".github" / "ISSUE_TEMPLATE" / "config.yml"],
}
PAGES = [ROOT / name for name in ("AGENTS.md", "CONTRIBUTING.md", "SECURITY.md")]


@pytest.mark.parametrize("kind", CHECKED)
def test_files_for_github_follow_its_schemas(kind):
    pytest.importorskip("check_jsonschema")
    files = [str(path) for path in CHECKED[kind]]
    words = ["-m", "check_jsonschema", "--builtin-schema", f"vendor.{kind}", *files]
    found = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    assert files and found.returncode == 0, found.stdout + found.stderr


@pytest.mark.skipif(not shutil.which("actionlint"), reason="actionlint is not installed")
def test_actionlint_finds_nothing_in_the_workflows():
    found = subprocess.run(["actionlint", *map(str, WORKFLOWS)], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_read_and_no_more_but_where_a_job_says_so(workflow):
    text = workflow.read_text(encoding="utf-8")
    assert "\npermissions:\n  contents: read\n" in text
    assert "secrets." not in text and "pull_request_target" not in text and "write-all" not in text
    assert set(re.findall(r"^ +([a-z-]+): write$", text, re.MULTILINE)) <= {"id-token", "pages"}


def test_a_tag_is_released_only_if_it_is_the_package_s_version():
    (line,) = re.findall(r"run: (grep .*version\.py)", (ROOT / ".github" / "workflows" / "release.yml").read_text())
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash")
    for tag, code in ((f"v{uniseg_nets.__version__}", 0), ("v0.0.1", 1), (f"v{uniseg_nets.__version__}1", 1)):
        done = subprocess.run([bash, "-c", line], cwd=ROOT, env={"TAG": tag, "PATH": "/usr/bin:/bin"}, check=False)
        assert done.returncode == code, tag


def test_a_release_is_published_after_its_tests_alone():
    tests, release = (
        yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text()) for name in ("ci", "release")
    )
    assert "workflow_call" in tests[True]  # YAML 1.1 reads `on` as true
    assert release["jobs"]["tests"]["uses"] == "./.github/workflows/ci.yml"
    assert {"build", "tests"} <= set(release["jobs"]["publish"]["needs"])
    uploads = [
        step["with"]["name"]
        for job in (*tests["jobs"].values(), *release["jobs"].values())
        for step in job.get("steps", [])
        if "upload-artifact" in step.get("uses", "")
    ]
    assert len(set(uploads)) == len(uploads)  # they are of one run


def test_an_environment_for_monai_label_of_another_python_is_refused_with_the_reason(tmp_path):
    make, python = shutil.which("make"), tmp_path / "python"
    if make is None:
        pytest.skip("no make")
    python.write_text('#!/bin/sh\ntest "$1" = --version && echo Python 3.13.1\n')
    python.chmod(0o755)
    words = [f"VENV={tmp_path / 'env'}", f"PYTHON={python}", str(tmp_path / "env-label" / ".ready")]
    done = subprocess.run([make, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode and "needs Python 3.11, got Python 3.13.1: name one" in done.stderr
    assert not (tmp_path / "env-label").exists()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_a_page_at_the_root_names_what_is_there(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert target.startswith("https://") or (ROOT / target).exists(), target
    for path in re.findall(r"`((?:uniseg_nets|bundles|tests|docs|benchmarks|\.github)/[\w./-]*)`", text):
        assert (ROOT / path).exists() or "NAME" in path, path
    targets = set(re.findall(r"^    make ([a-z0-9-]+)", text, re.MULTILINE))
    assert targets <= set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    verbs = set(re.findall(r"uniseg ([a-z][a-z0-9-]+)", text))
    assert verbs <= set(VERBS), verbs
