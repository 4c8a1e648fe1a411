import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
import torch
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, ornt_transform

from tests.test_plan import frames
from tests.test_prepare import FRAMES, nnunet
from uniseg_nets.bundle.choose import ChosenInference
from uniseg_nets.cli.values import listed
from uniseg_nets.cli.verbs import VERBS
from uniseg_nets.phantom import write_phantoms
from uniseg_nets.weights import fetch
from uniseg_nets.weights.checkpoints import read_weights


@pytest.fixture
def scan(prostate, write_scan):
    return write_scan("scans/patient.nii.gz", prostate.image[0], prostate.affine)


def test_tasks_lists_ids_channels_and_values(uniseg, capsys):
    assert uniseg("tasks") == 0
    out = capsys.readouterr().out
    assert "whole_body_tumour (17)" in out and "T1, T1ce, T2, FLAIR" in out and "all_ct" in out


def test_segment_writes_a_file_with_the_scan_s_geometry(uniseg, scan, demo_weights, tmp_path, prostate):
    assert uniseg("segment", scan, tmp_path / "out.nii.gz", "--task", "prostate", "--weights", demo_weights) == 0
    found, source = nib.load(tmp_path / "out.nii.gz"), nib.load(scan)
    assert found.shape == source.shape
    np.testing.assert_allclose(found.affine, source.affine)
    for code in ("sform_code", "qform_code"):
        assert found.header[code] == source.header[code]
    mask, truth = np.asarray(found.dataobj) == 13, prostate.label == 1
    assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.6
    assert json.loads((tmp_path / "out.json").read_text())["labels"]["13"] == "prostate"


@pytest.mark.parametrize(
    ("word", "values"), [("liver,spleen", {1, 2, 11}), ("spleen,liver", {1, 2, 11}), ("['spleen','lung']", {10, 11})]
)
def test_several_tasks_of_one_modality_are_all_segmented(uniseg, table, small_weights, tmp_path, word, values):
    (name,) = write_phantoms(tmp_path / "scans", table.one("spleen"), 1)
    options = ("--task", word, "--weights", small_weights, "--mode", "fast")
    assert uniseg("segment", tmp_path / "scans", tmp_path / "out", *options) == 0
    record = json.loads((tmp_path / "out" / f"{name}.json").read_text())
    assert set(map(int, record["labels"])) - {0} == values


def test_tasks_that_cannot_share_a_pass_are_refused(uniseg, scan, small_weights, tmp_path, caplog):
    options = ("--task", "liver,prostate", "--weights", small_weights)
    assert uniseg("segment", scan, tmp_path / "out", *options) == 1
    assert "Run them one by one" in caplog.text and not (tmp_path / "out").exists()


@pytest.mark.parametrize("codes", ["LPS", "PIR"])
def test_the_result_does_not_depend_on_the_stored_orientation(
    uniseg, scan, prostate, demo_weights, write_scan, tmp_path, codes
):
    turn = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(codes))
    affine = prostate.affine @ inv_ornt_aff(turn, prostate.label.shape)
    other = write_scan("other/turned.nii.gz", np.ascontiguousarray(apply_orientation(prostate.image[0], turn)), affine)
    options = ("--task", "prostate", "--weights", demo_weights)
    assert uniseg("segment", scan, tmp_path / "a.nii.gz", *options) == 0
    assert uniseg("segment", other, tmp_path / "b.nii.gz", *options) == 0
    first = apply_orientation(np.asarray(nib.load(tmp_path / "a.nii.gz").dataobj), turn)
    second = np.asarray(nib.load(tmp_path / "b.nii.gz").dataobj)
    assert (first == second).mean() > 0.999 and (second == 13).sum() > 1000


def test_one_4d_file_equals_its_channels_apart(uniseg, table, demo_weights, tmp_path):
    (name,) = write_phantoms(tmp_path / "apart", table.one("whole_body_tumour"), 1)
    channels = [nib.load(tmp_path / "apart" / "imagesTr" / f"{name}_000{i}.nii.gz") for i in (0, 1)]
    stacked = np.stack([channel.get_fdata(dtype=np.float32) for channel in channels], axis=-1)
    (tmp_path / "one").mkdir()
    nib.save(nib.Nifti1Image(stacked, channels[0].affine), tmp_path / "one" / "stacked.nii.gz")
    options = ("--task", "whole_body_tumour", "--weights", demo_weights)
    assert uniseg("segment", tmp_path / "apart", tmp_path / "a", *options) == 0
    assert uniseg("segment", tmp_path / "one", tmp_path / "b", *options) == 0
    first, second = nib.load(tmp_path / "a" / f"{name}.nii.gz"), nib.load(tmp_path / "b" / "stacked.nii.gz")
    assert first.shape == second.shape  # three axes, whatever the scan had
    assert (np.asarray(first.dataobj) == np.asarray(second.dataobj)).mean() > 0.9999


def test_bad_cases_are_named_and_the_others_done(uniseg, scan, demo_weights, tmp_path, prostate, caplog):
    folder = scan.parent
    (folder / "text.nii.gz").write_text("this is no scan")
    whole = scan.read_bytes()
    (folder / "truncated.nii.gz").write_bytes(whole[: len(whole) // 2])
    (folder / "notes.txt").write_text("a note")
    nan = prostate.image[0].copy()
    nan[5, 5, 5] = np.nan
    nib.save(nib.Nifti1Image(nan, prostate.affine), folder / "nan.nii.gz")
    nib.save(nib.Nifti1Image(np.stack([nan, nan], -1), prostate.affine), folder / "two_channels.nii.gz")
    nib.save(nib.Nifti1Image(np.zeros((5, 0, 5), np.float32), prostate.affine), folder / "zero_size.nii.gz")
    nib.save(nib.Nifti1Image(np.zeros((5, 5, 5), np.float32), prostate.affine), folder / "all_zero.nii.gz")
    assert uniseg("segment", folder, tmp_path / "out", "--task", "prostate", "--weights", demo_weights) == 3
    done = sorted(path.name for path in (tmp_path / "out").glob("*.nii.gz"))
    assert done == ["nan.nii.gz", "patient.nii.gz"]
    summary = caplog.records[-1].message
    assert summary.startswith("5 of 7 cases failed, the others are done")
    for reason in (
        "all_zero: ",
        "text: cannot read",
        "truncated: cannot read",
        "has 2 channel(s), task 'prostate' reads 1",
        "zero_size: ",
    ):
        assert reason in summary
    assert "notes.txt" in caplog.text and "NaN" in caplog.text


def test_a_missing_channel_is_named(uniseg, table, demo_weights, tmp_path, caplog):
    (name,) = write_phantoms(tmp_path / "data", table.one("whole_body_tumour"), 1)
    (tmp_path / "data" / "imagesTr" / f"{name}_0000.nii.gz").unlink()
    arguments = (tmp_path / "data", tmp_path / "out", "--task", "whole_body_tumour", "--weights", demo_weights)
    assert uniseg("segment", *arguments) == 3
    assert "has 1 channel(s), task 'whole_body_tumour' reads 2: give _0000 CT, _0001 PET" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("segment", "{scan}", "{out}", "--task", "prostat", "--weights", "{weights}"), "did you mean 'prostate'"),
        (("segment", "{scan}", "{out}", "--task", "11", "--weights", "{weights}"), "task id 11 does not exist"),
        (("segment", "{none}", "{out}", "--task", "prostate", "--weights", "{weights}"), "no file or folder"),
        (("segment", "{scan}", "{out}", "--task", "prostate", "--weights", "{none}"), "uniseg fetch-weights"),
        (("segment", "{scan}", "{out}", "--task", "prostate", "--weights", "{scan}"), "cannot be read as PyTorch"),
        (("segment", "{empty}", "{out}", "--task", "prostate", "--weights", "{weights}"), "no scan in"),
        (("convert", "{scan}", "{out}"), "cannot be read as PyTorch"),
        (("phantom", "{out}", "--task", "liver2"), "did you mean 'liver'"),
        (("tasks", "--tasks_file", "{none}"), "none"),
    ],
)
def test_a_user_s_mistake_is_answered_with_one_message(
    uniseg, scan, demo_weights, tmp_path, caplog, capsys, arguments, message
):
    places = {"scan": scan, "out": tmp_path / "out", "weights": demo_weights, "none": tmp_path / "none"}
    places["empty"] = tmp_path / "empty"
    places["empty"].mkdir()
    assert uniseg(*(argument.format(**places) for argument in arguments)) == 1
    assert message in caplog.records[-1].message
    assert "Traceback" not in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_bundle_of_one_s_own_segments_as_a_folder_and_as_a_zip(uniseg, copy, scan, demo_weights, tmp_path):
    shutil.copy(demo_weights, copy / "models" / "model.pt")
    assert uniseg("zip-bundle", copy, tmp_path / "dist") == 0
    (archive,) = (tmp_path / "dist").glob("*.zip")
    usual = ("segment", scan, tmp_path / "a.nii.gz", "--task", "prostate", "--weights", "demo")
    assert uniseg(*usual) == 0
    for bundle, name in ((copy, "b.nii.gz"), (archive, "c.nii.gz")):
        assert uniseg("segment", scan, tmp_path / name, "--task", "prostate", "--bundle", bundle) == 0
        first, second = (np.asarray(nib.load(tmp_path / file).dataobj) for file in ("a.nii.gz", name))
        assert np.array_equal(first, second) and (first == 13).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "say with `--task` what to segment (one of liver, kidney"),
        ({"task": "prostate", "bundle": "{none}"}, "expected a bundle's folder or zip"),
        ({"bundle": "uniseg_finetune", "training_mask": True}, "bundle uniseg_finetune has no training_mask"),
        ({"bundle": "unetr_prompt_tuning", "mode": "fast"}, "bundle unetr_prompt_tuning has no mode 'fast'"),
        ({"plan": "{none}"}, "no file or folder"),
        ({"plan": "{scan}"}, "is no JSON"),
        ({"task": "liver", "bundle": "uniseg_finetune"}, "choose one of custom"),
    ],
)
def test_what_a_bundle_cannot_do_is_refused(uniseg, scan, tmp_path, caplog, options, message):
    given = [f"--{name}={str(value).format(none=tmp_path / 'none', scan=scan)}" for name, value in options.items()]
    assert uniseg("segment", scan, tmp_path / "out", *given) == 1
    assert message in caplog.records[-1].message and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("segment", "none.nii.gz", "out", "--task", "liver"), "no file or folder none.nii.gz"),
        (("segment", "here", "out", "--task", "liver", "--weights", "none.pt"), "no weights at none.pt"),
        (("segment", "here", "out", "--task", "livr"), "did you mean 'liver'"),
        (("segment", "here", "out", "--bundle", "none"), "no bundle 'none'"),
        (("plan", "none"), "no file or folder none"),
        (("pack", "none.json", "none.pt", "out"), "no file or folder none.json"),
        (("prepare", "lits", "none", "out"), "no file or folder none"),
        (("convert", "none.pt", "out.pt"), "no file or folder none.pt"),
    ],
)
def test_a_wrong_path_is_told_before_anything_heavy_is_imported(tmp_path, arguments, message):
    (tmp_path / "here").mkdir()
    code = (
        "import sys\nfrom uniseg_nets.cli import command\ntry:\n    command.main()\nexcept SystemExit as stop:\n"
        "    sys.exit(10 * stop.code + ('torch' in sys.modules))"
    )
    command = [sys.executable, "-c", code, *arguments]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (found.returncode, message in found.stderr) == (10, True), found.stderr


def test_the_path_of_a_file_is_one_value_even_with_a_comma(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "centre,north").mkdir()
    (tmp_path / "centre,north" / "model.pt").touch()
    assert listed("centre,north/model.pt") == ["centre,north/model.pt"]
    assert listed("centre,south/model.pt") == ["centre", "south/model.pt"]
    assert listed(",".join(map(str, range(2000)))) == [str(number) for number in range(2000)]


def test_without_weights_the_answer_is_how_to_get_them(uniseg, scan, copy, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("uniseg_nets.bundle.run.bundle_root", lambda name: copy)
    assert uniseg("segment", scan, tmp_path / "out", "--task", "prostate") == 1
    assert "uniseg fetch-weights" in caplog.text


def test_the_demo_weights_are_chosen_by_a_word_and_missing_ones_named_at_once(bundle, demo_weights, copy):
    assert ChosenInference(bundle, task="liver", weights=["demo"]).overrides()["weights"].path == demo_weights
    with pytest.raises(FileNotFoundError, match=r"none\.pt"):
        ChosenInference(bundle, task="liver", weights=["none.pt"])
    with pytest.raises(ValueError, match="weights names 2 files, this bundle takes one"):
        ChosenInference(bundle, task="liver", weights=["demo", "none.pt"])
    with pytest.raises(FileNotFoundError, match=r"models/model\.pt"):
        ChosenInference(copy, task="liver")


def test_convert_goes_there_and_back(uniseg, small_weights, tmp_path, capsys):
    assert uniseg("convert", small_weights, tmp_path / "official.pth", "--to-official") == 0
    assert uniseg("convert", tmp_path / "official.pth", tmp_path / "back.pt") == 0
    out = capsys.readouterr().out
    assert "official layout, 115 tensors" in out and "base_features=8" in out
    first, back = read_weights(small_weights).state, read_weights(tmp_path / "back.pt").state
    assert all(torch.equal(first[name], back[name]) for name in first)


def test_fetch_weights_takes_a_file_and_records_its_hash(uniseg, small_weights, tmp_path):
    target = tmp_path / "models" / "model.pt"
    assert uniseg("fetch-weights", "--file", small_weights, "--output", target) == 0
    assert read_weights(target).sizes["base_features"] == 8
    assert (tmp_path / "models" / "model.pt.sha256").read_text().endswith("  model.pt\n")


def test_weights_that_are_there_are_not_replaced_by_fetched_ones(uniseg, tmp_path, monkeypatch, caplog):
    target = tmp_path / "model.pt"
    target.write_bytes(b"of a training")
    monkeypatch.setattr(fetch, "_download", pytest.fail)
    assert uniseg("fetch-weights", "--output", target) == 1
    assert "model.pt exists already" in caplog.text and target.read_bytes() == b"of a training"


def test_nothing_is_downloaded_for_a_folder_that_cannot_be_written_to(uniseg, tmp_path, monkeypatch, caplog):
    def refused(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(fetch, "_download", pytest.fail)
    monkeypatch.setattr(fetch.tempfile, "TemporaryFile", refused)
    assert uniseg("fetch-weights", "--output", tmp_path / "bundle" / "models" / "model.pt") == 1
    assert "models cannot be written to (Permission denied): name a file elsewhere with `--output FILE`" in caplog.text


def test_a_failed_download_says_what_to_do_and_leaves_nothing(uniseg, tmp_path, monkeypatch, caplog):
    def offline(path):
        raise ConnectionError(f"the download failed (no route to host): behind a proxy or offline, {fetch._REMEDY}")

    monkeypatch.setattr(fetch, "_download", offline)
    assert uniseg("fetch-weights", "--output", tmp_path / "model.pt") == 1
    assert "--file DOWNLOADED" in caplog.text and "1Ldgd5Ebc8VQrvGIpIgzUG2PTSDPUpEQJ" in caplog.text
    assert not any(tmp_path.iterdir())


def test_a_download_that_brings_no_file_is_a_failed_one(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gdown", SimpleNamespace(download=lambda id, output: output))
    with pytest.raises(ConnectionError, match=r"the download failed: .*--file DOWNLOADED"):
        fetch._download(tmp_path / "official.pth")
    monkeypatch.setitem(sys.modules, "gdown", SimpleNamespace(download=lambda id, output: Path(output).write_text(id)))
    fetch._download(tmp_path / "official.pth")
    assert (tmp_path / "official.pth").read_text() in fetch._ADDRESS


def test_a_download_that_is_no_checkpoint_leaves_nothing(uniseg, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(fetch, "_download", lambda path: path.write_text("<html>quota exceeded</html>"))
    assert uniseg("fetch-weights", "--output", tmp_path / "model.pt") == 1
    assert "cannot be read as PyTorch weights" in caplog.text and not any(tmp_path.iterdir())


def test_phantom_writes_patients_and_a_datalist(uniseg, tmp_path):
    assert uniseg("phantom", tmp_path / "p", "--task", "prostate", "--count", 2, "--validation", 1) == 0
    content = json.loads((tmp_path / "p" / "datalist.json").read_text())
    assert len(content["training"]) == 2 and len(content["validation"]) == 1
    assert uniseg("phantom", tmp_path / "one", "--task", "prostate") == 0
    content = json.loads((tmp_path / "one" / "datalist.json").read_text())
    assert len(content["training"]) == 1 and not content.get("validation")


@pytest.mark.parametrize("verb", ["segment", "segment_2d", "cv", "fetch-weights", "plan", "convert"])
def test_a_command_that_is_stopped_says_whether_it_goes_on_later(uniseg, monkeypatch, caplog, verb):
    def stopped():
        raise KeyboardInterrupt

    monkeypatch.setitem(VERBS, verb.replace("_", "-"), stopped)
    assert uniseg(verb) == 130
    goes_on = verb in ("segment", "segment_2d", "cv")
    assert ("the same command goes on with the cases that are left" in caplog.text) == goes_on
    assert ("the same command starts again" in caplog.text) != goes_on


@pytest.mark.parametrize("pattern", [r"(p\d)_", r"^p\d", "p[0-9]+"])
def test_plan_and_prepare_take_an_expression_that_finds_the_patient(uniseg, tmp_path, capsys, pattern):
    assert uniseg("plan", frames(tmp_path / "data"), "--out", tmp_path / "plan.json", "--group", pattern) == 0
    assert "data: 8 cases of 4 patients in 4 folds" in capsys.readouterr().out
    options = ("--task", "prostate", "--group", pattern)
    assert uniseg("prepare", "nnunet", nnunet(tmp_path / "raw", FRAMES), tmp_path / "out", *options) == 0
    content = json.loads((tmp_path / "out" / "datalist.json").read_text())
    assert {case["group"] for case in content["validation"]}.isdisjoint(case["group"] for case in content["training"])


def test_a_second_run_skips_what_is_finished(uniseg, scan, small_weights, tmp_path, caplog):
    caplog.set_level("INFO")
    arguments = ("segment", scan.parent, tmp_path / "out", "--task", "prostate", "--weights", small_weights)
    assert uniseg(*arguments) == 0
    first = (tmp_path / "out" / "patient.nii.gz").stat().st_mtime_ns
    shutil.copy(scan, scan.with_name("second.nii.gz"))
    assert uniseg(*arguments) == 0
    assert "1 of 2 cases are finished already" in caplog.text
    assert (tmp_path / "out" / "patient.nii.gz").stat().st_mtime_ns == first
    assert (tmp_path / "out" / "second.nii.gz").is_file()


def test_a_dicom_series_is_segmented_on_its_own_grid(uniseg, test_data, small_weights, tmp_path):
    series = test_data / "data" / "examples" / "dicom_ct"
    assert uniseg("segment", series, tmp_path / "out", "--task", "spleen", "--weights", small_weights) == 0
    from uniseg_nets.transforms import LoadCase

    image, label = LoadCase()(series), nib.load(tmp_path / "out" / "dicom_ct.nii.gz")
    assert label.shape == tuple(image.shape[1:])
    np.testing.assert_allclose(label.affine, image.affine, atol=1e-4)


def test_demo_finds_what_the_phantoms_hold_and_hippocampi_of_their_size(uniseg, tmp_path, capsys):
    assert uniseg("demo", tmp_path / "demo") == 0
    rows = json.loads((tmp_path / "demo" / "results.json").read_text())
    brain, phantoms = ([row for row in rows if (row["task"] == "hippocampus") is real] for real in (True, False))
    assert {row["channels"] for row in phantoms} == {"CT", "T1+T1ce+T2+FLAIR", "CT+PET"}
    best = {row["task"]: max(r["dice"] for r in phantoms if r["task"] == row["task"]) for row in phantoms}
    assert all(dice > 0.5 for dice in best.values())
    # Each half of an adult's hippocampus has one to three millilitres.
    assert {row["case"] for row in brain} == {"left side", "right side"}
    assert all(0.8 < row["volume_ml"] < 3.5 for row in brain)
    assert (tmp_path / "demo" / "preview.png").stat().st_size > 10_000
    assert "Dice" in capsys.readouterr().out


def test_a_segmentation_imports_no_package_that_inference_does_not_use(tmp_path):
    """They took longer than a small scan's inference. Other code in the process still finds them."""
    rng = np.random.default_rng(0)
    nib.save(nib.Nifti1Image(rng.normal(size=(32, 48, 40)).astype(np.float32), np.eye(4)), tmp_path / "scan.nii.gz")
    code = (
        "import sys\nfrom uniseg_nets.cli import main\nmain()\n"
        "unused = {'transformers', 'matplotlib', 'pandas', 'scipy.signal', 'sympy', 'tensorboard', 'torch._dynamo'}\n"
        "print(sorted(unused & set(sys.modules)))\n"
        "import scipy.signal\n"
        "from torch.distributed.optim import ZeroRedundancyOptimizer\n"
        "assert ZeroRedundancyOptimizer.__module__.startswith('torch.')"
    )
    command = [sys.executable, "-c", code, "segment", "scan.nii.gz", "out", "--task", "hippocampus"]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]" and (tmp_path / "out" / "scan.nii.gz").is_file()
