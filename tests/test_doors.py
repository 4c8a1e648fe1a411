"""The ways in: a wrong command or call is refused before anything begins, and says what was meant."""

import functools
import hashlib
import inspect
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import nibabel as nib
import numpy as np
import pytest
import torch

from tests.test_plan import write_case
from uniseg_nets import Segmenter
from uniseg_nets.bundle import run as bundle_run
from uniseg_nets.bundle.label_app import make_label_app
from uniseg_nets.bundle.run import run_bundle
from uniseg_nets.cli import verbs
from uniseg_nets.io import files as io_files
from uniseg_nets.io.bundles import MODEL, bundle_root
from uniseg_nets.nets.esp_medsam.modalities import MODALITIES
from uniseg_nets.plan.scaling import CT_SCALINGS
from uniseg_nets.quality.fingerprint import Fingerprint
from uniseg_nets.runtimes.choose import _RUNTIMES
from uniseg_nets.tasks import AXES


@pytest.fixture
def called(monkeypatch, tmp_path):
    """The verbs that were run, with their arguments, instead of what they do; in an empty working folder."""
    calls = []

    def spy(name, verb):
        @functools.wraps(verb)
        def noted(*args, **kwargs):
            bound = inspect.signature(verb).bind(*args, **kwargs)
            calls.append((name, dict(bound.arguments)))

        return noted

    for name, verb in list(verbs.VERBS.items()):
        monkeypatch.setitem(verbs.VERBS, name, spy(name, verb))
    monkeypatch.chdir(tmp_path)
    return calls


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("segmnt in out --task liver", "no verb 'segmnt': did you mean 'segment'?"),
        ("phantom ph --cuont 3", "has no option --cuont: did you mean '--count'?"),
        ("segment in out --task prostate --reprot", "has no option --reprot: did you mean '--report'?"),
        ("tasks --tasks-fil x", "has no option --tasks-fil: did you mean '--tasks_file'?"),
        ("phantom ph --count three", "--count is 'three', expected a whole number"),
        ("phantom ph --count 1.5", "--count is '1.5', expected a whole number"),
        ("segment in out --tsk liver", "has no option --tsk: did you mean '--task'?"),
        ("segment in out --task liver --mode fsat", "--mode is 'fsat': did you mean 'fast'?"),
        ("segment in out --task liver --mode=best", "expected one of accurate, balanced, fast"),
        ("segment in out --task liver --runtime gpu", "expected one of auto, torch, compile, openvino"),
        ("segment in out --task liver --label-values local", "expected one of global, task"),
        ("segment in out --task liver --report=maybe", "--report is 'maybe', expected true or false"),
        ("segment in out --task liver --mirror=nope", "--mirror is 'nope', expected true or false"),
        ("segment in out --task liver --overlap half", "--overlap is 'half', expected a number"),
        ("segment in out --task liver --overlap nan", "--overlap is 'nan', expected a number"),
        ("segment in out --task", "--task needs a value"),
        ("segment in out --task --report", "--task needs a value"),
        ("segment in out --task liver --task kidney", "--task is given twice"),
        ("segment in out -t liver --task kidney", "--task is given twice"),
        ("segment in out liver fast", "'liver' 'fast': too many words; usage: uniseg segment INPUT OUTPUT"),
        ("segment a.nii.gz b.nii.gz out --task liver", "'out': too many words"),
        ("segment -i in -o out more -t liver", "'more': too many words"),
        ("segment in --task liver", "OUTPUT missing; usage: uniseg segment INPUT OUTPUT"),
        ("segment --task liver", "INPUT, OUTPUT missing"),
        ("segment - out --task liver", "- stands for no file"),
        ("segment in out -x 3", "has no option -x"),
        ("segment in out --no-report=3 --task liver", "--no-report takes no value"),
        ("tasks one two", "'two': too many words"),
        ("plan data --axes sagittal", "expected one of anatomical, acquisition"),
        ("plan data --folds", "--folds needs a value"),
        ("plan data --batch-sise 2", "did you mean '--batch_size'?"),
        ("pack plan.json model.pt", "OUTPUT missing; usage: uniseg pack PLAN WEIGHTS OUTPUT"),
        ("convert-2d", "OUTPUT missing; usage: uniseg convert-2d FILES... OUTPUT"),
        ("calibrate here liver", "'liver': too many words; usage: uniseg calibrate INPUT --task TASK [options]"),
        ("calibrate here", "--task missing; usage: uniseg calibrate INPUT --task TASK [options]"),
        ("demo here --real=real", "--real is 'real', expected true or false"),
        ("label-app app bundle", "'bundle': too many words"),
        ("zip-bundle a b c", "'c': too many words"),
        ("phantom-2d ph run bogus --", "-- has no meaning here"),
        ("tasks open -- --bogus", "-- has no meaning here"),
        ("--version --cuont 3", "'--cuont' '3': too many words"),
        ("--help segmnt", "no verb 'segmnt': did you mean 'segment'?"),
        ("help segment more", "'more': too many words"),
    ],
)
def test_a_command_that_is_not_understood_runs_nothing(uniseg, called, tmp_path, caplog, words, message):
    assert uniseg(*words.split()) == 2
    assert message in caplog.records[-1].message and "\n" not in caplog.records[-1].message
    assert called == [] and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["input", "output", "task"])
def test_an_empty_word_as_an_unset_variable_leaves_it_is_refused(uniseg, called, caplog, place):
    values = {"input": "in", "output": "out", "task": "liver"} | {place: ""}
    assert uniseg("segment", values["input"], values["output"], "--task", values["task"]) == 2
    assert "is empty" in caplog.text and called == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("segment -i in -o out -t liver", {"task": "liver"}),
        ("segment -t liver -w demo -m fast -d cpu in out", {"weights": "demo", "mode": "fast", "device": "cpu"}),
        ("segment --report in out --task liver", {"report": True}),
        ("segment in out --report=false --mirror=no", {"report": False, "mirror": False}),
        ("segment in out --report=0 --mirror 1", {"report": False, "mirror": True}),
        ("segment in out --report False --mirror True", {"report": False, "mirror": True}),
        ("segment in out --no-mirror --dicom-seg", {"mirror": False, "dicom_seg": True}),
        ("segment in out --nomirror --dicom_seg", {"mirror": False, "dicom_seg": True}),
        ("segment in out --training-mask=yes --label_values=task", {"training_mask": True, "label_values": "task"}),
        ("segment in out --overlap 0.25 --mirror=None", {"overlap": 0.25, "mirror": None}),
        ("segment in out --task liver,spleen", {"task": "liver,spleen"}),
        ("segment in out --task 3 --weights 1e3", {"task": "3", "weights": "1e3"}),
    ],
)
def test_what_is_typed_is_what_a_verb_gets(uniseg, called, words, expected):
    assert uniseg(*words.split()) == 0
    ((name, arguments),) = called
    assert name == "segment" and {"input": "in", "output": "out", **expected}.items() <= arguments.items()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("pack plan.json A.pt,B.pt out --version 1.10.0", {"plan": "plan.json", "output": "out", "version": "1.10.0"}),
        ("pack out --plan plan.json --weights A.pt", {"plan": "plan.json", "output": "out"}),
        ("convert-2d fundus=a xray=b c.pt", {"files": ("fundus=a", "xray=b"), "output": "c.pt"}),
        ("convert-2d fundus=a -o c.pt", {"files": ("fundus=a",), "output": "c.pt"}),
        ("merge_config a.json b.json c.json --bundle b", {"files": ("a.json", "b.json"), "output": "c.json"}),
        ("phantom ph --count -3", {"count": -3}),
        ("plan 007 -o 2024", {"data": "007", "out": "2024"}),
    ],
)
def test_files_come_before_what_is_written(uniseg, called, words, expected):
    assert uniseg(*words.split()) == 0
    assert expected.items() <= called[0][1].items()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("segment none.nii.gz out --task liver", "no file or folder none.nii.gz"),
        ("segment here out", "say with `--task` what to segment (one of liver, kidney"),
        ("segment here out --task livr", "did you mean 'liver'"),
        ("segment here out --task liver --weights demo --device gpu", "device is 'gpu', this machine has cpu"),
        ("segment here out --task liver --weights demo --overlap 1", "overlap is 1, expected a share"),
        ("segment here out --bundle uniseg_finetune --training-mask", "uniseg_finetune has no training_mask"),
        ("phantom ph --task livr", "did you mean 'liver'"),
        ("phantom ph --count -3", "--count is -3, expected 0 or more"),
        ("pack here plan.json model.pt", "here is a folder: expected PLAN"),
        ("pack out plan.json model.pt", "no file or folder out: expected PLAN"),
        ("pack plan.json model.pt file.txt", "file.txt is a file: expected OUTPUT, a folder"),
        ("convert-2d models/release.pt fundus=theirs.pth", "expected MODALITY=FILE"),
        ("merge-config merged.json train.json plan2.json --bundle uniseg_finetune", "OUTPUT after them"),
        ("label-app app --demo --weights model.pt", "leave out --weights model.pt"),
        ("convert none.pt out.pt", "no file or folder none.pt"),
        ("fetch-weights --file none.pt --output out.pt", "no file or folder none.pt"),
        ("segment-2d none out --modality fundus", "no file or folder none"),
        ("prepare lits none out", "no file or folder none"),
        ("plan here --labels organ", "expected such as"),
        ("plan here --batch-size 0", "--batch_size is 0, expected 1 or more"),
        ("plan here --out here", "here is a folder: expected OUT, a file"),
        ("cv plan.json here out --folds x", "--folds is 'x', expected different whole numbers"),
        ("cv plan.json here out --folds 0,0", "--folds is '0,0', expected different whole numbers"),
        ("cv plan.json here out", "is no plan: it lacks data"),
        ("fingerprint model.pt plan.json --cases 0", "--cases is 0, expected 1 or more"),
        ("fingerprint model.pt plan.json --device gpu", "device is 'gpu', this machine has cpu"),
        ("segment here file.txt --task liver --weights demo", "file.txt is a file: expected OUTPUT, a folder"),
        (
            "segment here out --task liver --tasks-file none.json",
            "no task table none.json: expected a JSON file, or one of uniseg, open",
        ),
        ("demo file.txt", "file.txt is a file: expected OUTPUT, a folder"),
        ("phantom-studies file.txt", "file.txt is a file: expected OUTPUT, a folder"),
        ("zip-bundle uniseg_upstream file.txt", "file.txt is a file: expected OUTPUT, a folder"),
        ("convert model.pt here", "here is a folder: expected TARGET, a file"),
        ("convert model.pt model.pt", "model.pt exists already: choose another TARGET, or move it away"),
        ("convert model.pt file.txt", "file.txt exists already: choose another TARGET, or move it away"),
        ("convert-2d fundus=model.pt model.pt", "model.pt exists already: choose another OUTPUT, or move it away"),
        ("convert-2d fundus=a.pth polyp=b.pth", "OUTPUT is 'polyp=b.pth': expected MODALITY=FILE"),
        ("segment-2d here out --release", "release.pt: `uniseg convert-2d MODALITY=FILE ... "),
        ("segment-2d here out --small", "model.pt: a training writes it; or name a file with `--weights FILE`"),
        ("convert-2d fundus=a.pth polyp.txt", "after them the file to write, which ends in .pt, .pth"),
        ("convert here out.pt", "here is a folder: expected SOURCE, a checkpoint"),
        ("fetch-weights --file here", "here is a folder: expected --file, a downloaded checkpoint"),
        ("segment here out --task liver,", "'liver,' has an empty part"),
        ("segment here out --task liver --weights ,", "',' has an empty part"),
        ("segment here out --task liver --weights opne", "no weights at opne: did you mean 'open'?"),
        ("segment here out --task left_atrium --weights open,demo", "weights names 2 files, this bundle takes one"),
        ("segment here out --task liver,left_atrium", "'left_atrium': it is a task of the table 'open'"),
        ("segment here out --task liver --bundle esp_medsam_2d", "esp_medsam_2d does not segment 3D scans"),
        ("segment here out --plan here", "here is a folder: expected --plan, a file of `uniseg plan`"),
        ("segment here out --plan plan.json", "plan.json is no plan: it lacks task_entry"),
        ("segment here here/out.mha --task liver", "here/out.mha is no folder and no .nii.gz file"),
        ("segment here out.nii --task liver", "out.nii is no folder and no .nii.gz file"),
        ("segment here here/.nii.gz --task liver", "here/.nii.gz has no name before .nii.gz"),
        ("segment here file.txt/out --task liver", "file.txt is a file: expected OUTPUT, a folder"),
        ("segment here file.txt/out.nii.gz --task liver", "file.txt is a file: expected the folder of OUTPUT"),
        ("tasks opn", "no task table opn: expected a JSON file, or one of uniseg, open"),
        ("tasks here", "no task table here"),
        ("calibrate here --task liver --windows -2", "--windows is -2, expected 1 or more"),
        ("calibrate here --task liver,", "'liver,' has an empty part"),
        ("calibrate here --task liver --weights opne", "no weights at opne: did you mean 'open'?"),
        ("fingerprint opne plan.json", "no weights at opne: did you mean 'open'?"),
        ("fingerprint open none.json", "no file or folder none.json: expected DATALIST"),
        ("fingerprint open list.json --task livr", "unknown task 'livr': did you mean 'liver'?"),
        ("fingerprint open list.json --tasks_file uniseg", "open.pt was trained on 5 tasks, the task table has 11"),
        ("cv plan.json file.txt out", "no data set at"),
        ("cv list.json here out", "is no plan: it lacks data, cases with a name, a fold"),
        ("compare text.csv text.csv", "dice of case a is 'half', expected a number"),
        ("plan here --slot 99", "slot is 99, and there are no pretrained weights"),
        ("plan here --memory-gib 0", "memory_gib is 0, expected a number above 0"),
        ("plan here --seed -1", "--seed is -1, expected 0 or more"),
        ("plan here --group [", "--group is '[', expected a regular expression"),
        ("plan here --labels 1=a,1=b", "expected a different value for each name"),
        ("plan here --out file.txt/plan.json", "file.txt is a file: expected the folder of OUT"),
        ("prepare lits here out --validation-share 2", "--validation_share is 2, expected a share from 0"),
        ("prepare lits here out --split none.json", "no file or folder none.json: expected --split"),
        ("prepare lits here out --group (", "--group is '(', expected a regular expression"),
        ("merge-config array.json merged.json", "array.json holds a list, expected an object"),
        ("pack plan.json , out", "',' has an empty part"),
        ("phantom data --task liver", "data/datalist.json exists already: choose another OUTPUT, or move it away"),
        ("phantom data/sets --task liver", "liver/dataset.json exists already, of another data set: choose another"),
        ("phantom-2d data", "data/datalist.json exists already: choose another OUTPUT, or move it away"),
        ("phantom-studies data", "data/liver.nii.gz exists already: choose another OUTPUT, or move it away"),
        ("phantom ph --count 0", "--count and --validation are 0, expected 1 or more of either"),
        ("phantom-2d ph --count 0", "--count and --validation are 0, expected 1 or more of either"),
        ("segment-2d here out --weights here", "here is a folder: expected --weights, a checkpoint"),
    ],
)
def test_a_mistake_that_can_be_mended_is_told_before_any_work(uniseg, tmp_path, monkeypatch, caplog, words, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bundle_run, "run_bundle", None)
    (tmp_path / "here").mkdir()
    for name in ("plan.json", "model.pt", "file.txt"):
        (tmp_path / name).write_text("{}")
    (tmp_path / "array.json").write_text("[1]")
    for name in ("datalist.json", "liver.nii.gz", "sets/liver/dataset.json"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_text("{}")
    case = {"name": "a", "image": "a.nii.gz", "label": "a.nii.gz", "task": "liver"}
    (tmp_path / "list.json").write_text(json.dumps({"training": [case], "data": [1]}))
    (tmp_path / "text.csv").write_text("task,case,class,status,dice,nsd,hd95_mm\nliver,a,liver,present,half,0.5,1\n")
    before = sorted(tmp_path.rglob("*"))
    assert uniseg(*words.split()) == 1
    assert message in caplog.records[-1].message
    assert sorted(tmp_path.rglob("*")) == before


def test_a_library_that_is_not_installed_is_told_in_a_sentence(
    uniseg, small_weights, write_scan, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr("uniseg_nets.runtimes.choose.importlib.util.find_spec", lambda name: None)
    scan = write_scan("a.nii.gz", np.ones((16, 16, 8), np.float32))
    options = ("--task", "prostate", "--weights", small_weights, "--runtime", "openvino")
    assert uniseg("segment", scan, tmp_path / "out", *options) == 1
    assert "pip install openvino" in caplog.records[-1].message


def test_a_reader_that_has_enough_is_no_fault():
    command = f"{shlex.quote(Path(sys.executable).as_posix())} -m uniseg_nets tasks | true"
    bash = shutil.which("bash")  # Windows itself would find another one
    done = subprocess.run([bash, "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, check=False)
    assert done.stderr == ""


@pytest.mark.parametrize("words", ["", "--help", "-h", "help"])
def test_the_help_lists_every_verb_in_its_group_and_the_exit_statuses(uniseg, capsys, words):
    assert uniseg(*words.split()) == 0
    out = capsys.readouterr().out
    assert all(f"\n{group}:\n" in out for group in verbs.GROUPS) and all(f"\n  {name} " in out for name in verbs.VERBS)
    assert "exit status" in out and "130" in out


@pytest.mark.parametrize("name", verbs.VERBS)
def test_a_verb_s_help_tells_every_argument(uniseg, called, capsys, name):
    assert uniseg(name, "in", "--help") == 0
    out = capsys.readouterr().out
    for parameter in inspect.signature(verbs.VERBS[name]).parameters:
        assert len(re.findall(rf"^  (?:--{parameter}|{parameter.upper()})\b", out, re.MULTILINE)) == 1
    assert called == []


def test_help_has_choices_and_defaults(uniseg, capsys):
    assert uniseg("segment", "--help") == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "--mode, -m accurate|balanced|fast" in out and "[default: balanced]" in out and "INPUT, -i" in out


def test_the_version_is_told(uniseg, capsys):
    assert uniseg("--version") == 0
    assert capsys.readouterr().out.startswith("uniseg-nets 0.")


@pytest.mark.parametrize("words", ["tasks", "--help", "segment --help", "segment in out --tsk x", "--version"])
def test_what_needs_no_network_does_not_wait_for_pytorch(tmp_path, words):
    code = (
        "import sys\nfrom uniseg_nets.cli import main\ntry:\n    main()\nexcept SystemExit:\n    pass\n"
        "sys.exit('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, *words.split()]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 0


def test_the_choices_of_the_command_are_those_of_the_package():
    segment, plan = (get_type_hints(verbs.VERBS[name]) for name in ("segment", "plan"))
    assert get_args(get_args(segment["runtime"])[0]) == _RUNTIMES
    assert get_args(get_args(plan["axes"])[0]) == AXES
    assert set(get_args(plan["ct_scaling"])) == set(CT_SCALINGS)
    assert "fundus" in MODALITIES


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"tsk": "kidney"}, "bundle uniseg_upstream has no tsk: did you mean 'task'?"),
        ({"task": "liver", "mirrror": True}, "has no mirrror: did you mean 'mirror'?"),
        ({"task": "liver", "netwrk_def#base_features": 8}, "did you mean 'network_def'?"),
        ({}, r"say with task=... what to segment \(one of liver, kidney"),
        ({"task": None}, r"say with task=... what to segment"),
        ({"task": "livr"}, "did you mean 'liver'"),
        ({"task": "$__import__('os').mkdir('pwned')"}, "must be plain data"),
        ({"task": "liver", "weights": "$open('pwned', 'w')"}, "must be plain data"),
        ({"task": "liver", "network_def": {"_target_": "os.mkdir"}}, "must be plain data"),
        ({"task": "liver", "mirror": "no"}, "mirror is 'no', expected True or False"),
        ({"task": "liver", "overlap": "half"}, "overlap is 'half', expected a number such as 0.5"),
        ({"task": "liver", "force": 1}, "force is 1, expected True or False"),
        ({"task": "liver", "mode": "quick"}, "has no mode 'quick': expected one of accurate, balanced, fast"),
        ({"task": "liver", "report": True}, "does not take report: use `uniseg segment`"),
        ({"task": "liver", "output_dir": "out"}, "does not take output_dir: use `uniseg segment`"),
        ({"task": "liver", "cases": [1]}, "does not take cases: use `uniseg segment`"),
        ({"task": "liver", "mode": ["fast"]}, "has no mode"),
        ({"task": "liver", "device": "gpu"}, "device is 'gpu', this machine has cpu"),
        ({"task": "liver", "device": None}, "device is None: leave it out"),
        ({"task": "liver", "weights": None}, "weights is None: leave it out"),
        ({"task": "liver", "weights": 3}, "weights is 3, expected the path of a file"),
        ({"task": "liver", "weights": []}, r"weights is \[\], expected the path of a file"),
        ({"task": "liver", "weights": ["a.pt", "b.pt"]}, "weights names 2 files, this bundle takes one"),
        ({"task": "liver", "tasks": None}, "tasks is None: leave it out"),
        ({"task": "liver", "network_def": None}, "network_def is None: leave it out"),
        ({"task": ["left_atrium", "liver"]}, "'liver': it is a task of the table 'uniseg'"),
        (
            {"task": "liver", "mirror_axes": "left"},
            "mirror_axes is 'left', expected one or more of the letters z, y, x",
        ),
        ({"task": "liver", "mirror_axes": ""}, "mirror_axes is '', expected one or more"),
        ({"task": "liver", "coarse_pass": "2"}, "coarse_pass is '2', expected a downsampling factor"),
        ({"task": "liver", "overlap": 2}, "overlap is 2, expected a share of the window from 0"),
    ],
)
def test_a_wrong_override_of_a_segmenter_is_refused(tmp_path, monkeypatch, demo_weights, overrides, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        Segmenter("uniseg_upstream", **{"weights": str(demo_weights), **overrides})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("bundle", "message"),
    [
        (None, "bundle is None, expected a bundle's name, folder or zip"),
        (3, "bundle is 3, expected"),
        ("esp_medsam_2d", "does not segment 3D scans"),
    ],
)
def test_what_is_no_bundle_for_scans_is_refused(bundle, message):
    with pytest.raises(ValueError, match=message):
        Segmenter(bundle, task="liver")


def test_weights_have_the_same_names_in_python_as_in_the_command():
    with pytest.raises(FileNotFoundError, match=r"no weights at opne: did you mean 'open'\?"):
        Segmenter("uniseg_upstream", task="left_atrium", weights="opne")
    assert Segmenter("uniseg_upstream", task="left_atrium", weights="open").labels[3] == "left_atrium"


def test_demo_weights_warn_in_python_as_in_the_command(caplog):
    Segmenter("uniseg_upstream", task="prostate", weights="demo")
    assert "on a real scan the result means nothing" in caplog.text


@pytest.fixture(scope="module")
def segmenter(demo_weights):
    return Segmenter("uniseg_upstream", task="prostate", weights=str(demo_weights))


@pytest.mark.parametrize(
    ("scan", "affine", "message"),
    [
        (None, None, "scan is 'None', expected a file, a DICOM folder"),
        (3, None, "scan is '3', expected a file"),
        ([], None, r"scan is '\[\]', expected a file"),
        ([None], None, r"scan is '\[None\]', expected a file"),
        ({"image": "a.nii.gz"}, None, "scan is .*, expected a file"),
        (np.ones((16, 16, 8)), np.eye(3), r"the affine has shape \(3, 3\), expected 4 x 4 numbers"),
        (np.ones((16, 16, 8)), "eye", r"the affine has shape \(\), expected 4 x 4 numbers"),
        (np.ones((0, 16, 8)), np.eye(4), r"image array has shape \(0, 16, 8\), expected"),
        (np.ones((16, 16, 8), object), np.eye(4), "the array holds object, expected numbers"),
        (np.full((16, 16, 8), "a"), np.eye(4), "the array holds <U1, expected numbers"),
        ("scan.nii.gz", np.eye(4), "an affine belongs to an array"),
    ],
)
def test_what_is_no_scan_is_refused(segmenter, scan, affine, message):
    with pytest.raises(ValueError, match=message):
        segmenter(scan, affine)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"task": "liver", "outputdir": "out"}, "bundle uniseg_upstream has no outputdir: did you mean 'output_dir'?"),
        ({"output_dir": "out"}, "say with `task` what to segment"),
        ({"task": "liver", "output_dir": "$open('pwned', 'w')"}, "must be plain data"),
    ],
)
def test_a_wrong_override_of_a_run_is_refused(tmp_path, monkeypatch, overrides, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        run_bundle("uniseg_upstream", ["inference.json", "demo.json"], **overrides)
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_is_its_folder_or_its_name_to_all_that_take_one(uniseg, bundle, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(bundle.parent)
    for given in (bundle.name, str(bundle), Path(bundle.name), Path("..") / bundle.parent.name / bundle.name):
        assert bundle_root(given) == bundle.resolve()
    with pytest.raises(ValueError, match="say with `task` what to segment"):
        run_bundle(f"../{bundle.parent.name}/{bundle.name}", output_dir=str(tmp_path))
    served = []
    monkeypatch.setattr("uniseg_nets.bundle.label_app.make_label_app", lambda *given: served.append(given) or tmp_path)
    for given in (bundle.name, bundle):
        assert uniseg("label-app", tmp_path / "app", "--bundle", given, "--demo") == 0
    assert served[0] == served[1] and served[0][1] == bundle.resolve()
    assert uniseg("label-app", tmp_path / "app", "--bundle", "unetr_prompt_tuning", "--demo") == 1
    assert "the demo weights belong to uniseg_upstream, not to unetr_prompt_tuning" in caplog.text


def test_a_segmenter_computes_in_the_mode_that_it_is_told(demo_weights):
    given = {"task": "prostate", "weights": str(demo_weights)}
    fast, plain = Segmenter("uniseg_upstream", mode="fast", **given), Segmenter("uniseg_upstream", **given)
    settings = [(one._inferer.inferer.overlap, one._inferer.inferer.coarse_pass) for one in (fast, plain)]
    assert settings == [(0.25, 1.5), (0.5, None)]


def test_a_bundle_of_one_task_needs_none(monkeypatch, tmp_path):
    with pytest.raises(FileNotFoundError, match="no weights at"):  # all that is missing
        Segmenter("uniseg_finetune", weights=str(tmp_path / "none.pt"))


def test_a_file_s_name_is_never_run(uniseg, small_weights, write_scan, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    voxels = np.random.default_rng(0).random((16, 16, 8), dtype=np.float32)
    for name in ("$open('pwned','w')", "@task", "%x", "=1+1"):
        write_scan(f"scans/{name}.nii.gz", voxels, np.diag([3.0, 3.0, 3.0, 1.0]))
    options = ("--task", "prostate", "--weights", small_weights, "--mode", "fast", "--report")
    assert uniseg("segment", "scans", "$out", *options) == 0
    done = sorted(path.name for path in (tmp_path / "$out").glob("*.nii.gz"))
    assert done == ["$open('pwned','w').nii.gz", "%x.nii.gz", "=1+1.nii.gz", "@task.nii.gz"]
    assert not (tmp_path / "pwned").exists()
    text = (tmp_path / "$out" / "statistics.csv").read_text()
    assert "\n'=1+1," in text and "\n'@task," in text and "\n=1+1" not in text
    cases = {row["case"] for row in io_files.read_csv(tmp_path / "$out" / "statistics.csv")}
    assert cases == {"$open('pwned','w')", "@task", "%x", "=1+1"}


@pytest.mark.parametrize("where", ["case", "label"])
def test_a_data_set_s_names_become_no_code_in_a_plan(uniseg, tmp_path, monkeypatch, caplog, where):
    monkeypatch.chdir(tmp_path)
    code = "$__import__('pathlib').Path('pwned').touch()"
    for index, name in enumerate(["one", code if where == "case" else "two"]):
        write_case(tmp_path / "data", name, seed=index)
    assert uniseg("plan", "data", *(["--labels", f"50={code},100=b"] if where == "label" else [])) == 1
    assert "must be plain data: rename the case" in caplog.text
    assert not (tmp_path / "pwned").exists() and not (tmp_path / "plan.json").exists()


def test_weights_are_read_once_and_hashed_once(uniseg, small_weights, write_scan, tmp_path, monkeypatch):
    read, hashed, load, digest = [], [], torch.load, hashlib.file_digest

    def noted_load(file, *args, **kwargs):
        read.append(os.fspath(file))
        return load(file, *args, **kwargs)

    def noted_digest(file, algorithm):
        hashed.append(file.name)
        return digest(file, algorithm)

    weights = shutil.copyfile(small_weights, tmp_path / "model.pt")
    Fingerprint({}).save(weights)  # names the weights by their hash
    hashed.clear()
    io_files._sha256.cache_clear()  # as in a new process
    monkeypatch.setattr(torch, "load", noted_load)
    monkeypatch.setattr(hashlib, "file_digest", noted_digest)
    voxels = np.random.default_rng(0).random((16, 16, 8), dtype=np.float32)
    scans = [write_scan(f"scans/{name}.nii.gz", voxels, np.diag([3.0, 3.0, 3.0, 1.0])) for name in "ab"]
    options = ("--task", "prostate", "--weights", weights, "--mode", "fast")
    assert uniseg("segment", tmp_path / "scans", tmp_path / "out", *options) == 0
    assert read == [str(weights)] and hashed.count(str(weights)) == 1
    Segmenter("uniseg_upstream", task="prostate", weights=str(weights), overlap=0.25)(scans[0])
    assert read == [str(weights)] * 2 and hashed.count(str(weights)) == 1


def test_a_part_of_an_older_packed_bundle_is_still_found(copy, small_weights, write_scan):
    """Version 0.8 had no name for what makes the label map."""
    path = copy / "configs" / "inference.json"
    config = json.loads(path.read_text())
    config["postprocessing"]["transforms"][0] = config.pop("to_label_map")
    path.write_text(json.dumps(config))
    scan = write_scan("a.nii.gz", np.ones((16, 16, 8), np.float32), np.diag([3.0, 3.0, 3.0, 1.0]))
    segmenter = Segmenter(copy, task="prostate", weights=str(small_weights))
    assert segmenter(scan).shape == (16, 16, 8)


class Code:
    def __reduce__(self):
        return os.system, ("touch pwned",)


@pytest.mark.parametrize("content", [{"state_dict": Code()}, torch.nn.Linear(2, 2)])
def test_a_checkpoint_with_code_is_refused_without_advice_to_load_it(
    uniseg, write_scan, tmp_path, monkeypatch, caplog, content
):
    monkeypatch.chdir(tmp_path)
    torch.save(content, tmp_path / "bad.pt")
    scan = write_scan("a.nii.gz", np.ones((16, 16, 8), np.float32))
    assert uniseg("segment", scan, "out", "--task", "liver", "--weights", "bad.pt") == 1
    assert "bad.pt cannot be read as PyTorch weights: it holds code or objects" in caplog.text
    assert "weights_only" not in caplog.text and "trust" not in caplog.text
    assert not (tmp_path / "pwned").exists() and not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["docs/notes.txt", "configs/extra.json", f"models/{MODEL}"])
def test_a_link_out_of_a_bundle_goes_into_no_zip_and_no_app(uniseg, copy, demo_weights, tmp_path, caplog, name):
    secret = tmp_path / "secret.txt"
    secret.write_text("a patient's name")
    link = copy / name
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(secret)
    assert uniseg("zip-bundle", copy, tmp_path / "dist") == 1
    assert "is a link to" in caplog.text and not (tmp_path / "dist").exists()
    if not name.startswith("models"):  # an app gets weights of its own
        (tmp_path / "sample").mkdir()
        (tmp_path / "sample" / "main.py").write_text("")
        with pytest.raises(ValueError, match="is a link to"):
            make_label_app(tmp_path / "app", copy, weights=demo_weights, sample_app=tmp_path / "sample")
        assert not (tmp_path / "app").exists()


@pytest.mark.parametrize("text", ["=cmd()", "+1", "-1", "@a", "\ta", "\na", "'a", "'=a", "a", "a'=b", ""])
def test_a_table_holds_no_formula_and_gives_back_what_was_written(tmp_path, text):
    io_files.write_csv(tmp_path / "a.csv", [{"case": text, text or "x": text}])
    content = (tmp_path / "a.csv").read_text()
    assert not any(cell.lstrip('"').startswith(("=", "+", "-", "@", "\t")) for cell in content.split(","))
    assert io_files.read_csv(tmp_path / "a.csv") == [{"case": text, text or "x": text}]


@pytest.mark.parametrize(("axis", "name"), [(0, "x"), (1, "y"), (2, "z")])
def test_a_voxel_edge_of_zero_is_refused_with_file_and_axis(
    uniseg, demo_weights, write_scan, tmp_path, caplog, axis, name
):
    scan = write_scan("scans/flat.nii", np.ones((16, 16, 8), np.float32), np.diag([3.0, 3.0, 3.0, 1.0]))
    content = bytearray(scan.read_bytes())
    content[80 + 4 * axis : 84 + 4 * axis] = bytes(4)  # pixdim
    content[252:256] = bytes(4)  # no qform, no sform
    scan.write_bytes(bytes(content))
    assert uniseg("segment", scan, tmp_path / "out", "--task", "prostate", "--weights", demo_weights) == 3
    assert f"flat.nii as a scan: its header gives voxels an edge of 0 mm along axis {name}" in caplog.text
    assert not list((tmp_path / "out").glob("*.nii.gz"))


def test_an_affine_without_an_axis_is_refused_from_python_too(demo_weights):
    segmenter = Segmenter("uniseg_upstream", task="prostate", weights=str(demo_weights))
    image = nib.Nifti1Image(np.ones((16, 16, 8), np.float32), np.eye(4))
    image._affine = np.diag([3.0, 0.0, 3.0, 1.0])
    with pytest.raises(ValueError, match="an edge of 0 mm along axis y"):
        segmenter(image)
