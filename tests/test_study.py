import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from scipy import stats

from uniseg_nets.io.files import write_csv
from uniseg_nets.study import cross_validation
from uniseg_nets.study.compare import as_markdown, compare, holm
from uniseg_nets.study.cross_validation import cross_validate, pooled_table
from uniseg_nets.study.figures import bootstrap_interval


def row(case, dice, name="organ", patient=None, status="present", hd95=5.0):
    figures = {"dice": dice, "nsd": dice, "hd95_mm": hd95}
    return {"task": "ct", "case": case, "patient": patient or case, "class": name, "status": status, **figures}


def evaluation(folder, rows):
    folder.mkdir(parents=True)
    write_csv(folder / "cases.csv", rows)
    return folder


@pytest.fixture
def two(tmp_path):
    """Ten cases; the second method is better by 0.01 to 0.10 in "organ", and differs by nothing in "lesion"."""
    first = [row(f"c{i}", 0.8, name, hd95=9.0) for i in range(10) for name in ("organ", "lesion")]
    second = [row(f"c{i}", 0.81 + 0.01 * i, hd95=8.0 - i / 10) for i in range(10)]
    second += [row(f"c{i}", 0.8, "lesion") for i in range(10)]
    return evaluation(tmp_path / "a", first), evaluation(tmp_path / "b", second)


def test_differences_are_of_pairs_with_their_test_and_interval(two):
    organ, lesion = compare(*two)
    assert (organ.name, organ.patients, organ.better, organ.worse) == ("organ", 10, 10, 0)
    assert organ.difference == pytest.approx(0.055)
    assert 0.03 < organ.low < 0.055 < organ.high < 0.08
    assert organ.p == pytest.approx(stats.wilcoxon(0.01 + 0.01 * np.arange(10)).pvalue)
    assert organ.p_holm == pytest.approx(2 * organ.p)
    assert (lesion.difference, lesion.p, lesion.better, lesion.worse) == (0, 1, 0, 0)


def test_a_shorter_distance_is_better(two):
    organ = compare(*two, metric="hd95_mm")[0]
    assert organ.difference < 0 and (organ.better, organ.worse) == (10, 0)


def test_evaluations_of_2d_images_are_compared_by_modality(tmp_path):
    def rows(dice):
        figures = {"status": "present", "dice": dice, "nsd": dice, "hd95_pixels": 10 * (1 - dice)}
        return [{"modality": modality, "case": f"{modality}_{i}", **figures} for modality in "ab" for i in range(3)]

    first, second = (evaluation(tmp_path / name, rows(dice)) for name, dice in (("one", 0.5), ("two", 0.75)))
    assert [(one.task, one.name, one.difference) for one in compare(first, second)] == [
        ("a", "foreground", 0.25),
        ("b", "foreground", 0.25),
    ]
    assert compare(first, second, "hd95_pixels")[0].difference == -2.5
    with pytest.raises(ValueError, match="the evaluation has no hd95_mm, expected one of its dice, nsd, hd95_pixels"):
        compare(first, second, "hd95_mm")


def test_cases_of_one_patient_count_once(tmp_path):
    a = evaluation(tmp_path / "a", [row(f"p{i // 2}_{i}", 0.0, patient=f"p{i // 2}") for i in range(8)])
    b = evaluation(tmp_path / "b", [row(f"p{i // 2}_{i}", float(i % 2), patient=f"p{i // 2}") for i in range(8)])
    (only,) = compare(a, b)
    assert (only.patients, only.cases, only.difference, only.low, only.high) == (4, 8, 0.5, 0.5, 0.5)
    assert "Fewer than 6 patients with a difference cannot reach p < 0.05: ct organ" in as_markdown([only])


def test_patients_without_a_difference_do_not_count_for_a_test(tmp_path):
    a = evaluation(tmp_path / "a", [row(f"p{i}", 0.5) for i in range(6)])
    b = evaluation(tmp_path / "b", [row(f"p{i}", 0.5 + 0.1 * (i < 3)) for i in range(6)])
    assert "Fewer than 6 patients with a difference" in as_markdown(compare(a, b))


def test_one_patient_has_no_interval(tmp_path):
    a, b = (evaluation(tmp_path / name, [row("only", dice)]) for name, dice in (("a", 0.5), ("b", 0.6)))
    assert "| 0.500 | - | 0.500 |" in pooled_table(a)
    assert "| +0.100 | - | 1 / 0 |" in as_markdown(compare(a, b))


def test_patients_that_one_evaluation_alone_knows_count_for_both(tmp_path):
    """As evaluations of folds before version 0.9.7 did not."""
    known = [row("a_ED", 0.5, patient="a"), row("a_ES", 0.7, patient="a"), row("b_ED", 0.6, patient="b")]
    unknown = [{**each, "patient": each["case"], "dice": each["dice"] + 0.1} for each in known]
    new, old = evaluation(tmp_path / "new", known), evaluation(tmp_path / "old", unknown)
    for pair in ((new, old), (old, new)):
        (one,) = compare(*pair)
        assert (one.patients, one.cases) == (2, 3)


def test_a_case_without_partner_is_left_out_with_a_warning(tmp_path, caplog):
    a = evaluation(tmp_path / "a", [row("one", 0.5), row("two", 0.6)])
    b = evaluation(tmp_path / "b", [row("two", 0.7), row("three", 0.1)])
    (only,) = compare(a, b)
    assert only.cases == 1 and only.difference == pytest.approx(0.1)
    assert "2 figures have no partner" in caplog.text


def test_files_of_a_comparison(two, tmp_path):
    compare(*two, output_dir=tmp_path / "out")
    rows = list(csv.DictReader((tmp_path / "out" / "comparison.csv").open()))
    assert [one["name"] for one in rows] == ["organ", "lesion"]
    assert [one["p"] for one in rows] == ["0.001953", "1"] and rows[0]["p_holm"] == "0.003906"
    assert (tmp_path / "out" / "comparison.png").read_bytes()[:4] == b"\x89PNG"


def test_holm_s_method_on_a_worked_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a, b: compare(a, b, "dise"), "metric is 'dise', expected one of dice, nsd, hd95_mm"),
        (lambda a, b: compare(a, b / "nowhere"), "no figures at"),
        (lambda a, b: ((b / "cases.csv").write_text("a,b\n1,2\n"), compare(a, b))[1], "has no column case, class"),
        (lambda a, b: (write_csv(b / "cases.csv", [row("x", 1)]), compare(a, b))[1], "no case and class in common"),
    ],
)
def test_what_cannot_be_compared_is_refused(two, change, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        change(*two)


def test_an_interval_holds_the_mean_of_nineteen_in_twenty_samples():
    rng = np.random.default_rng(1)
    held = [low <= 0 <= high for low, high in (bootstrap_interval(rng.normal(size=40)) for _ in range(200))]
    assert 0.89 < np.mean(held) < 0.99


def test_the_pooled_table_counts_what_was_missed(tmp_path):
    rows = [row("a", 0.9), row("b", 0.7), row("c", 0.0, status="missed", hd95=float("nan"))]
    table = pooled_table(evaluation(tmp_path / "e", rows), {("ct", "organ"): 0.98})
    assert "| ct | organ | 3 (3) | 0.533 |" in table and "| 5.0 | 1 | 0.980 |" in table


def test_all_means_of_the_pooled_table_are_over_patients(tmp_path):
    rows = [row(f"a{i}", 0.9, patient="a") for i in range(4)] + [row("b0", 0.1, patient="b", hd95=15.0)]
    assert "| 2 (5) | 0.500 | 0.100 to 0.900 | 0.100 | 0.500 | 10.0 |" in pooled_table(evaluation(tmp_path / "e", rows))


def test_folds_of_a_folder_that_does_not_say_of_which_plan_are_not_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(cross_validation.subprocess, "run", None)
    (tmp_path / "cv" / "fold0" / "models").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"cv has folds and no settings\.json"):
        cross_validate(plan_of(tmp_path), tmp_path, tmp_path / "cv")


def test_folds_evaluated_by_two_versions_are_not_pooled(tmp_path, monkeypatch):
    def run(words, check):
        fold = words[words.index("--fold") + 1]
        if "evaluate.json" in words[words.index("--config_file") + 1]:
            own = row(f"case{fold}", 0.5)
            evaluation(tmp_path / "cv" / f"fold{fold}" / "eval", [own | {"new": 1} if fold == "1" else own])
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(cross_validation.subprocess, "run", run)
    with pytest.raises(ValueError, match=r"fold1/eval/cases\.csv has other columns than the folds before it"):
        cross_validate(plan_of(tmp_path), tmp_path, tmp_path / "cv")


def plan_of(folder, folds=3):
    path = folder / "plan.json"
    cases = [{"name": str(i), "image": [f"i{i}.mha"], "label": f"l{i}.mha", "fold": i % folds} for i in range(6)]
    path.write_text(json.dumps({"data": cases}))
    for case in cases:
        for file in (*case["image"], case["label"]):
            (folder / file).write_text(file)
    return path


def leaves_evaluations(folder):
    """A process in whose place what it would leave in the folder of a cross-validation is written."""

    def run(words, check):
        fold = words[words.index("--fold") + 1]
        if "evaluate.json" in words[words.index("--config_file") + 1]:
            evaluation(folder / f"fold{fold}" / "eval", [row(f"case{fold}", 0.5)])
        return subprocess.CompletedProcess(words, 0)

    return run


def test_a_case_that_the_data_lack_is_named_before_anything_is_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(cross_validation.subprocess, "run", None)
    plan = plan_of(tmp_path)
    (tmp_path / "l4.mha").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks 1 of 12 files of .*plan\.json: l4\.mha: name the folder that"):
        cross_validate(plan, tmp_path, tmp_path / "cv", folds=[0])
    assert not (tmp_path / "cv").exists()


@pytest.mark.parametrize("earlier", [False, True])
def test_folds_of_other_data_are_not_gone_on_with(tmp_path, monkeypatch, earlier):
    monkeypatch.setattr(cross_validation.subprocess, "run", leaves_evaluations(tmp_path / "cv"))
    plan = plan_of(tmp_path)
    cross_validate(plan, tmp_path, tmp_path / "cv", folds=[0])
    moved, others = (shutil.copytree(tmp_path, tmp_path.with_name(f"{tmp_path.name}_{i}")) for i in range(2))
    cross_validate(plan, moved, tmp_path / "cv", folds=[1])
    (others / "i3.mha").write_text("another scan")
    if earlier:  # of a version that kept no sizes
        kept = tmp_path / "cv" / "settings.json"
        kept.write_text(
            json.dumps({key: value for key, value in json.loads(kept.read_text()).items() if key != "bytes"})
        )
        cross_validate(plan, others, tmp_path / "cv", folds=[2])
        return
    monkeypatch.setattr(cross_validation.subprocess, "run", None)
    with pytest.raises(ValueError, match=r"cv was begun with other data .*: other sizes have i3\.mha: name the data"):
        cross_validate(plan, others, tmp_path / "cv", folds=[2])


def test_folds_are_trained_once_evaluated_and_pooled(tmp_path, monkeypatch):
    """The processes are made; what they would leave is written in their place."""
    commands = []

    def run(words, check):
        options = dict(zip((word.removeprefix("--") for word in words[4::2]), words[5::2]))
        commands.append((options["fold"], "eval" if "evaluate.json" in options["config_file"] else "train"))
        if commands[-1][1] == "train":
            if len(commands) == 3:
                return subprocess.CompletedProcess(words, 1)  # stopped
            final = tmp_path / "cv" / f"fold{options['fold']}" / "models" / "model_final.pt"
            final.parent.mkdir(parents=True)
            final.touch()
            assert options["resume"] == "True" and "small.json" in options["config_file"]
        else:
            evaluation(tmp_path / "cv" / f"fold{options['fold']}" / "eval", [row(f"case{options['fold']}", 0.5)])
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(cross_validation.subprocess, "run", run)
    plan = plan_of(tmp_path)
    with pytest.raises(ChildProcessError, match="fold 1 ended with status 1"):
        cross_validate(plan, tmp_path, tmp_path / "cv", overlays=["small.json"])
    (tmp_path / "cv" / "fold0" / "eval" / "cases.csv").unlink()
    (tmp_path / "cv" / "fold0" / "eval").rmdir()
    pooled = cross_validate(plan, tmp_path, tmp_path / "cv", overlays=["small.json"])
    trained = [fold for fold, what in commands if what == "train"]
    assert trained == ["0", "1", "1", "2"]
    assert [(one["fold"], one["case"]) for one in csv.DictReader(pooled.open())] == [
        ("0", "case0"),
        ("1", "case1"),
        ("2", "case2"),
    ]


def test_a_patient_in_two_folds_is_refused_before_anything_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(cross_validation.subprocess, "run", None)
    plan = plan_of(tmp_path)
    content = json.loads(plan.read_text())
    for case in content["data"][:2]:
        case["group"] = "p0"
    plan.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"(?s)plan\.json puts 1 patient.*p0: 0 in fold 0, 1 in fold 1"):
        cross_validate(plan, tmp_path, tmp_path / "cv")
    assert not (tmp_path / "cv").exists()


def test_a_mistake_in_an_overlay_can_be_mended_in_the_same_folder(tmp_path, monkeypatch):
    plan, overlay = plan_of(tmp_path), tmp_path / "mine.json"
    overlay.write_text('{"max_epoch": 5}')
    failing = lambda words, check: subprocess.CompletedProcess(words, 1)  # noqa: E731
    monkeypatch.setattr(cross_validation.subprocess, "run", failing)
    with pytest.raises(ChildProcessError, match="fold 0 ended with status 1; its reason is above"):
        cross_validate(plan, tmp_path, tmp_path / "cv", overlays=[str(overlay)])
    overlay.write_text('{"max_epochs": 5}')
    monkeypatch.setattr(cross_validation.subprocess, "run", leaves_evaluations(tmp_path / "cv"))
    cross_validate(plan, tmp_path, tmp_path / "cv", overlays=[str(overlay)])
    assert json.loads((tmp_path / "cv" / "settings.json").read_text())["overlays"] == [{"max_epochs": 5}]


def test_an_ended_cross_validation_ends_its_training(tmp_path):
    """Else it would write into the folder beside that of the next call."""
    written = tmp_path / "child"
    child = f"import os, pathlib, time; pathlib.Path({str(written)!r}).write_text(str(os.getpid())); time.sleep(60)"
    parent = f"""
import subprocess, sys
from uniseg_nets.cli import study
from uniseg_nets.study import cross_validation
cross_validation.cross_validate = lambda *_: subprocess.run([sys.executable, "-c", {child!r}])
study.cv({str(plan_of(tmp_path))!r}, {str(tmp_path)!r}, {str(tmp_path / "cv")!r})
"""
    process = subprocess.Popen([sys.executable, "-c", parent])
    while not (written.is_file() and written.read_text()):
        assert process.poll() is None
        time.sleep(0.05)
    process.terminate()
    assert process.wait(30) == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(int(written.read_text()), 0)


@pytest.mark.parametrize("change", ["folds", "overlays"])
def test_folds_of_another_plan_are_not_taken_for_this_one_s(tmp_path, monkeypatch, change):
    monkeypatch.setattr(cross_validation.subprocess, "run", leaves_evaluations(tmp_path / "cv"))
    cross_validate(plan_of(tmp_path), tmp_path, tmp_path / "cv", overlays=["small.json"])
    monkeypatch.setattr(cross_validation.subprocess, "run", None)
    overlays = ["small.json"] if change == "folds" else ["small.json", "from_scratch.json"]
    plan = plan_of(tmp_path, 2 if change == "folds" else 3)
    with pytest.raises(ValueError, match=r"cv has folds of another plan or of other overlays \(settings\.json\)"):
        cross_validate(plan, tmp_path, tmp_path / "cv", overlays=overlays)


def test_a_fold_or_config_that_is_not_there_is_refused_before_anything_is_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(cross_validation.subprocess, "run", None)
    with pytest.raises(ValueError, match=r"no fold 7 in .*: it has 0, 1, 2"):
        cross_validate(plan_of(tmp_path), tmp_path, tmp_path / "cv", folds=[0, 7])
    with pytest.raises(FileNotFoundError, match="no data set at"):
        cross_validate(plan_of(tmp_path), tmp_path / "nowhere", tmp_path / "cv")
    with pytest.raises(FileNotFoundError, match=r"no config tiny\.json"):
        cross_validate(plan_of(tmp_path), tmp_path, tmp_path / "cv", overlays=["tiny.json"])
    assert not (tmp_path / "cv").exists()


@pytest.mark.slow
def test_two_folds_of_real_scans_by_the_command(tmp_path, test_data):
    """Plan, cross-validation and comparison, by the documented commands; the trainings are too short to learn."""
    short = tmp_path / "short.json"
    small = {"network_def#base_features": 8, "network_def#max_features": 16, "fingerprint_cases": 0}
    short.write_text(json.dumps(small | {"max_epochs": 1, "batches_per_epoch": 2, "val_interval": 2}))
    uniseg = [sys.executable, "-m", "uniseg_nets"]
    plan, out = tmp_path / "plan.json", tmp_path / "cv"
    scans = test_data / "data" / "abdomen_mr"
    subprocess.run([*uniseg, "plan", scans, plan, "--folds", "2", "--memory_gib", "2"], check=True)
    for _ in range(2):  # the second finds all done
        words = [*uniseg, "cv", plan, scans, out, "--overlays", f"small.json,{short}"]
        done = subprocess.run(words, check=True, capture_output=True, text=True)
    assert "(10)" in done.stdout and f"wrote {out / 'cases.csv'}" in done.stdout
    words = [*uniseg, "compare", out / "fold0" / "eval", out / "fold0" / "eval"]
    compared = subprocess.run(words, check=True, capture_output=True, text=True)
    assert "+0.000" in compared.stdout


def _evaluation(path, **changed):
    rows = [row(name, 0.8) | {"reference_ml": 10.0} for name in "ab"]
    write_csv(path, [rows[0] | changed, rows[1]])
    return path


def test_evaluations_against_other_references_are_not_compared(tmp_path):
    first, same = _evaluation(tmp_path / "a.csv"), _evaluation(tmp_path / "b.csv", reference_ml=10.004)
    assert compare(first, same)[0].difference == 0
    other = _evaluation(tmp_path / "c.csv", reference_ml=50)
    with pytest.raises(ValueError, match="other references: organ of case a has 10 and 50 ml"):
        compare(first, other)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"dice": 80}, "dice of case a is 80, expected a number from 0 to 1"),
        ({"dice": -0.1}, "dice of case a is -0.1, expected"),
        ({"case": "b", "patient": "b"}, "case b has two rows for organ"),
    ],
)
def test_figures_that_cannot_be_are_refused(tmp_path, changed, message):
    with pytest.raises(ValueError, match=message):
        compare(_evaluation(tmp_path / "a.csv"), _evaluation(tmp_path / "b.csv", **changed))


def test_an_infinite_distance_is_refused(tmp_path):
    with pytest.raises(ValueError, match="hd95_mm of case a is inf, expected a finite number from 0 on"):
        compare(_evaluation(tmp_path / "a.csv"), _evaluation(tmp_path / "b.csv", hd95_mm=float("inf")), "hd95_mm")
