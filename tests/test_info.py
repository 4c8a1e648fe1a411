"""``uniseg info``: what a program reads before it uses the command."""

import json
import subprocess
import sys
from importlib import metadata

import pytest

from uniseg_nets.cli.verbs import VERBS
from uniseg_nets.tasks import load_task_table
from uniseg_nets.version import __version__


@pytest.fixture
def found(uniseg, capsys):
    assert uniseg("info", "--json") == 0
    return json.loads(capsys.readouterr().out)


def test_the_answer_imports_nothing_heavy():
    code = (
        "import sys\nfrom uniseg_nets.cli import main\nmain()\n"
        "print(sorted({'torch', 'monai', 'numpy', 'nibabel', 'itk'} & set(sys.modules)), file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, "info", "--json"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert answer.stderr.strip() == "[]" and json.loads(answer.stdout)["version"] == __version__


def test_every_verb_is_told_with_its_arguments(found):
    assert set(found["verbs"]) == set(VERBS)
    arguments = {one["name"]: one for one in found["verbs"]["segment"]["arguments"]}
    assert arguments["input"] | {"text": ""} == {
        "name": "input",
        "is_option": False,
        "required": True,
        "repeated": False,
        "short": "i",
        "value": "text",
        "default": None,
        "text": "",
    }
    assert (arguments["mode"]["value"], arguments["mode"]["default"]) == ("accurate|balanced|fast", "balanced")
    task = next(one for one in found["verbs"]["calibrate"]["arguments"] if one["name"] == "task")
    assert task["is_option"] and task["required"]
    assert all(one["text"] for verb in found["verbs"].values() for one in verb["arguments"])
    assert "3" in found["exit_status"]


def test_weights_are_told_with_their_licence_and_tasks(found):
    weights = {one["name"]: one for one in found["weights"]}
    assert weights["open"]["licence"] == "CC BY-SA 4.0" and weights["official"]["licence"] == "non-commercial"
    assert weights["open"]["installed"] and weights["demo"]["installed"]
    assert [task["name"] for task in weights["open"]["tasks"]] == [task.name for task in load_task_table("open")]
    sarcoma = weights["open"]["tasks"][-1]
    assert sarcoma["channels"] == ["CT", "PET"] and list(sarcoma["labels"].values()) == ["sarcoma"]
    assert "liver" in weights["official"]["merged_tasks"]["all_ct"]
    of_2d = {one["name"]: one for one in found["weights_2d"]}
    assert of_2d["open"]["licence"] == "CC BY 4.0" and of_2d["open"]["installed"] and of_2d["demo"]["installed"]


def test_an_extra_is_installed_if_all_its_packages_are_and_are_new_enough(uniseg, capsys, tmp_path, monkeypatch):
    own = tmp_path / "uniseg_nets-1.dist-info"
    own.mkdir()
    lines = ["Name: uniseg-nets", "Version: 1", "Requires-Dist: torch", "Provides-Extra: some", "Provides-Extra: new"]
    lines += ['Requires-Dist: numpy>=1; extra == "some"', 'Requires-Dist: no-such-package; extra == "some"']
    lines += [
        'Requires-Dist: numpy>=999; extra == "new"',
        "Provides-Extra: all",
        'Requires-Dist: numpy; extra == "all"',
        "Provides-Extra: several",
        'Requires-Dist: uniseg-nets[all,some]; extra == "several"',
    ]
    (own / "METADATA").write_text("\n".join(["Metadata-Version: 2.1", *lines]) + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert uniseg("info", "--json") == 0
    numpy = metadata.version("numpy")
    assert json.loads(capsys.readouterr().out)["extras"] == {
        "some": {"installed": False, "packages": {"numpy": numpy, "no-such-package": None}},
        "new": {"installed": False, "packages": {"numpy": None}},
        "all": {"installed": True, "packages": {"numpy": numpy}},
        "several": {"installed": False, "packages": {"numpy": numpy, "no-such-package": None}},
    }


def test_people_read_the_weights_and_what_is_missing(uniseg, capsys):
    assert uniseg("info") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"uniseg-nets {__version__}, Python ")
    assert any(line.split()[:2] == ["open", "here"] and line.endswith("(CC BY-SA 4.0)") for line in lines)
    assert any(line.split()[:2] == ["open", "here"] and line.endswith("(CC BY 4.0)") for line in lines)
