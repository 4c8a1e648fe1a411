"""Fingerprints: fitted on measured cases, kept beside the weights, and what a judge makes of them."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from ignite.engine import Engine

from uniseg_nets import UniSeg
from uniseg_nets.phantom import write_phantom_tasks
from uniseg_nets.quality import CheckScand, FingerprintFile, Judge, Reason, Verdict
from uniseg_nets.quality.before import LEVELS, ScanProperties
from uniseg_nets.quality.cases import CaseMeasurer, Measured
from uniseg_nets.quality.fingerprint import Fingerprint, carry_fingerprint, fingerprint_file, read_fingerprint
from uniseg_nets.quality.fit import fit_fingerprint
from uniseg_nets.quality.reference import TaskReference
from uniseg_nets.quality.rows import CaseRow, measured_cases
from uniseg_nets.tasks import load_task_table
from uniseg_nets.weights.checkpoints import convert, read_weights, save_weights

LABEL = {"largest_share": 0.98, "at_z": 0.5, "at_y": 0.4, "at_x": 0.6, "width_z": 20, "width_y": 20, "width_x": 20}


def row(rng, *, dice=0.9, agreement=0.9, volume=80.0, extent=300.0, worse=False):
    """A measured case of the left atrium."""
    near = lambda value, by=0.03: float(value * np.exp(rng.normal(0, by)))  # noqa: E731
    intensities = np.quantile(rng.gamma(2, 40, (1, 4000)), LEVELS, axis=1).T
    extents = (160.0, near(extent), near(extent))
    properties = ScanProperties((2.0, 2.0, 2.0), extents, intensities)
    numbers = {"agreement": near(agreement, 0.01), "certainty": near(0.93, 0.01), "left_atrium.volume_ml": near(volume)}
    numbers |= {f"left_atrium.{name}": near(value, 0.01) for name, value in LABEL.items()}
    numbers["left_atrium.truncated"] = 0.0
    return CaseRow("left_atrium", str(rng.integers(10**9)), worse, Measured(properties, numbers, dice, 1.0))


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    good = [row(rng, dice=float(rng.normal(0.9, 0.01))) for _ in range(24)]
    return good + [row(rng, dice=0.9 - fall, agreement=0.9 - fall, worse=True) for fall in np.linspace(0, 0.5, 12)]


@pytest.fixture(scope="module")
def fitted(rows, open_tasks):
    return Fingerprint.fitted(rows, open_tasks)


@pytest.fixture
def judge(fitted, open_tasks, tmp_path):
    weights = tmp_path / "w.pt"
    weights.write_bytes(b"weights")
    fitted.save(weights)
    return Judge(open_tasks, "left_atrium", str(weights))


def verdict_of(judge, made):
    properties, measures = made.measured.properties, made.measured.measures
    before = Verdict(tuple(judge.scan_reasons(properties, judge.tasks.select("left_atrium"))))
    return judge.after(before, {"left_atrium": measures})


def test_new_cases_like_those_of_the_training_are_ok(judge):
    rng = np.random.default_rng(7)
    words = [verdict_of(judge, row(rng)).word for _ in range(40)]
    assert words.count("ok") >= 37


@pytest.mark.parametrize(
    ("odd", "sentence"),
    [
        ({"volume": 5.0}, "ml were found, usually"),
        ({"extent": 40.0}, "The scan covers 160 x "),
        ({"agreement": 0.5}, "coarse and fine answers differ"),
    ],
)
def test_what_is_odd_about_a_case_is_said_with_what_is_usual(judge, odd, sentence):
    verdict = verdict_of(judge, row(np.random.default_rng(3), **odd))
    assert verdict.word == "check" and any(sentence in text for text in verdict.sentences)
    assert all(any(word in text for word in ("usual", "training", "estimated", "needs")) for text in verdict.sentences)


def test_the_estimated_dice_falls_with_the_network_s_agreement(judge):
    rng = np.random.default_rng(5)
    good, poor = (verdict_of(judge, row(rng, agreement=value)).estimated_dice for value in (0.9, 0.5))
    assert good > 0.82 and poor < 0.6


def test_the_dice_of_a_case_that_is_refused_and_computed_by_force_is_not_estimated(judge):
    before = Verdict((Reason("before", "No scanner makes such voxels.", refused=True),))
    verdict = judge.after(before, {"left_atrium": row(np.random.default_rng(5)).measured.measures})
    assert verdict.word == "refused" and verdict.estimated_dice is None


def test_nothing_found_is_a_reason_to_look(judge):
    empty = {"agreement": float("nan"), "certainty": float("nan"), "left_atrium.volume_ml": 0.0}  # fmt: skip
    verdict = judge.after(Verdict(), {"left_atrium": empty})
    assert verdict.word == "check" and "left_atrium was not found." in verdict.sentences
    assert verdict.estimated_dice < 0.5


def test_a_verdict_says_whether_the_case_was_compared_with_those_of_the_training(judge, open_tasks):
    made = row(np.random.default_rng(7))
    assert verdict_of(judge, made).as_record()["compared_with_training"] is True
    bare = Judge(open_tasks, "left_atrium").after(Verdict(), {"left_atrium": made.measured.measures})
    assert bare.as_record() == {"verdict": "ok", "reasons": [], "compared_with_training": False}
    judge.task = "hippocampus"  # the fingerprint has the left atrium alone
    assert judge.after(Verdict(), {}).compared_with_training is False


def test_a_fingerprint_holds_no_number_of_a_single_case(fitted, rows):
    text = json.dumps(fitted.as_json())
    for made in rows[:24]:
        assert f"{made.measured.measures['left_atrium.volume_ml']:.5g}" not in text
    assert len(text) < 40_000


def test_frames_of_one_patient_alone_give_no_estimate_and_no_error(rows, open_tasks, caplog):
    one_patient = [CaseRow(made.task, "p1", made.worse, made.measured) for made in rows]
    fitted = Fingerprint.fitted(one_patient, open_tasks)
    assert fitted.estimate is None and "cases of two patients or more of a task" in caplog.text


def test_an_organ_of_slices_stored_from_the_other_side_lies_where_it_lay_in_training(open_tasks):
    """The left ventricle's axes are those of the file, which may begin at either side of the body."""
    task, rng = open_tasks.one("left_ventricle"), np.random.default_rng(2)
    made = [row(rng).measured for _ in range(12)]
    measures = [{key.replace("left_atrium", task.name): value for key, value in one.measures.items()} for one in made]
    reference = TaskReference.fitted(task, [one.properties for one in made], measures)
    other_side = measures[0] | {f"{task.name}.at_x": 1 - measures[0][f"{task.name}.at_x"]}
    assert reference.after(other_side, task) == reference.after(measures[0], task) == []
    assert reference.signs(other_side, task)["label"] < 3
    elsewhere = measures[0] | {f"{task.name}.at_x": 0.05}
    assert [reason.text.partition(",")[0] for reason in reference.after(elsewhere, task)] == [
        "left_ventricle lies at 5% of the scan along its rows"
    ]


def test_a_fingerprint_comes_back_from_its_file(judge, fitted):
    read = read_fingerprint(judge.weights)
    assert read.as_json()["estimate"] == fitted.as_json()["estimate"]
    assert list(read.tasks) == ["left_atrium"] and read.tasks["left_atrium"].cases == 24


def test_a_fingerprint_of_other_weights_is_left_aside_and_said_so(judge, tmp_path, caplog):
    (tmp_path / "w.pt").write_bytes(b"other weights")
    assert read_fingerprint(judge.weights) is None
    assert "belongs to other weights" in caplog.text and "uniseg fingerprint" in caplog.text


def test_a_fingerprint_of_an_older_version_is_left_aside_and_said_so(judge, caplog):
    path = fingerprint_file(judge.weights)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 2, "estimate": {"weights": {}}}))
    assert read_fingerprint(judge.weights) is None
    assert "older version" in caplog.text and "uniseg fingerprint" in caplog.text


def test_a_fingerprint_of_a_newer_version_is_refused(judge):
    path = fingerprint_file(judge.weights)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))
    with pytest.raises(ValueError, match="format is 99"):
        read_fingerprint(judge.weights)


def test_the_dice_is_estimated_from_held_out_cases_if_there_are_enough(rows, open_tasks):
    """The network is worse on them than on its own training cases."""
    rng = np.random.default_rng(11)
    held = [row(rng, dice=float(rng.normal(0.7, 0.01))) for _ in range(20)]
    estimate = Fingerprint.fitted(rows, open_tasks, held).estimate
    assert estimate.held and estimate.levels["left_atrium"] == pytest.approx(0.7, abs=0.02)
    estimate = Fingerprint.fitted(rows, open_tasks, held[:19]).estimate
    assert not estimate.held and estimate.levels["left_atrium"] == pytest.approx(0.9, abs=0.02)


@pytest.mark.parametrize(
    ("trained", "held", "mean"),
    [(0.0, (), 0.0), (0.9, (0.1, 0.2, 0.1, 0.2), 0.15), (0.9, (0.0,) * 4, 0.0), (0.9, (0.1, 0.1, 0.1), None)],
)
def test_weights_that_fail_on_their_own_cases_are_never_ok(trained, held, mean, open_tasks, tmp_path, caplog):
    """Ranges that are fitted to failures hold the next failure; four held-out cases count before those of training."""
    rng = np.random.default_rng(4)
    own, held_out = [row(rng, dice=trained) for _ in range(6)], [row(rng, dice=dice) for dice in held]
    (tmp_path / "w.pt").write_bytes(b"weights")
    Fingerprint.fitted(own, open_tasks, held_out).save(tmp_path / "w.pt")
    verdict = verdict_of(Judge(open_tasks, "left_atrium", str(tmp_path / "w.pt")), row(rng))
    if mean is None:
        assert verdict.word == "ok" and "needed" not in caplog.text
        return
    sentence = f"These weights had a mean Dice of {mean:.2f} on their own cases of left_atrium, 0.60 is needed."
    assert verdict.word == "check" and verdict.sentences == [sentence]
    assert f"{sentence} Every verdict of this task is `check`." in caplog.text


def test_a_fingerprint_without_a_mean_dice_is_read_as_before(judge):
    """Files of version 0.12 have none."""
    file = fingerprint_file(judge.weights)
    content = json.loads(file.read_text())
    assert content["tasks"]["left_atrium"].pop("dice") == pytest.approx(0.9, abs=0.01)
    file.write_text(json.dumps(content))
    assert verdict_of(judge, row(np.random.default_rng(7))).word == "ok"


def test_no_held_out_case_is_measured_where_the_training_has_too_few(open_tasks, rows):
    held = iter(rows)
    with pytest.raises(ValueError, match="no task has enough training cases"):
        Fingerprint.fitted(rows[:3], open_tasks, held)
    assert next(held) is rows[0]


def test_what_is_odd_about_a_class_of_few_pieces_is_said_to_be_measured_before_the_others_are_removed(open_tasks):
    task, rng = open_tasks.one("left_atrium"), np.random.default_rng(2)
    made = [row(rng).measured for _ in range(12)]
    reference = TaskReference.fitted(task, [one.properties for one in made], [one.measures for one in made])
    usual = made[0].measures | {"left_atrium.volume_ml": 80.0}
    for odd in ({"left_atrium.volume_ml": 1500.0}, {"left_atrium.largest_share": 0.3}, {"left_atrium.truncated": 1.0}):
        for pieces, ending in ((1, " (measured before smaller pieces are removed)."), (0, ".")):
            (reason,) = reference.after(usual | odd, replace(task, max_pieces=(pieces,)))
            assert reason.text.endswith(ending) and ("removed" in reason.text) == bool(pieces)
    assert [reason.text for reason in reference.after({"agreement": 0.9, "certainty": 0.93}, task)] == [
        "left_atrium was not found."
    ]


def test_a_file_that_is_no_fingerprint_is_named(tmp_path):
    (tmp_path / "w.pt").write_bytes(b"")
    fingerprint_file(tmp_path / "w.pt").write_text('{"format": 1}')
    with pytest.raises(ValueError, match=r"w\.pt\.fingerprint\.json is no fingerprint"):
        read_fingerprint(tmp_path / "w.pt")


def test_a_fingerprint_goes_along_with_its_weights(judge, tmp_path):
    (tmp_path / "copy.pt").write_bytes(b"saved anew")
    carry_fingerprint(judge.weights, tmp_path / "copy.pt")
    assert read_fingerprint(tmp_path / "copy.pt").tasks["left_atrium"].cases == 24
    assert carry_fingerprint(tmp_path / "none.pt", tmp_path / "copy.pt") is None


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("tasks",), [], "has no attribute"),
        (("tasks", "left_atrium", "numbers", "agreement", "scale"), "x", "scale 'x'"),
        (("tasks", "left_atrium", "numbers", "agreement", "std"), 0, "std 0"),
        (("tasks", "left_atrium", "channels", 0, "quantiles"), [1.0, 2.0], "2 numbers, expected 25"),
        (("tasks", "left_atrium", "dice"), float("nan"), "mean Dice of nan"),
        (("estimate", "base"), float("nan"), "not finite"),
        (("estimate", "weights"), {"agreement": 1.0}, "an estimate has the signs"),
    ],
)
def test_a_damaged_fingerprint_is_named_before_a_case_is_read(judge, path, value, message):
    file = fingerprint_file(judge.weights)
    content = part = json.loads(file.read_text())
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=rf"is no fingerprint \(.*{message}"):
        CheckScand("image", Judge(judge.tasks, "left_atrium", judge.weights))


def test_the_order_of_an_estimate_s_weights_in_the_file_does_not_matter(judge, fitted):
    file = fingerprint_file(judge.weights)
    content = json.loads(file.read_text())
    content["estimate"]["weights"] = dict(reversed(content["estimate"]["weights"].items()))
    file.write_text(json.dumps(content))
    signs = {"agreement": 1.0, "certainty": 2.0, "label": 3.0}
    assert read_fingerprint(judge.weights).estimate.of("left_atrium", signs) == fitted.estimate.of("left_atrium", signs)


def test_a_training_fits_the_fingerprint_of_its_weights_to_training_and_validation_cases(
    demo_weights, table, write_scan, tmp_path, caplog
):
    caplog.set_level("INFO")
    convert(demo_weights, tmp_path / "w.pt")
    network = UniSeg(**read_weights(tmp_path / "w.pt").sizes).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    rng, affine = np.random.default_rng(0), np.diag([*table.one("prostate").spacing[::-1], 1])
    cases = []
    for index in range(24):
        values = rng.normal(size=(24, 24, 12)).astype(np.float32)
        image, label = (
            write_scan(f"{index}.nii", values, affine),
            write_scan(f"{index}_label.nii", (values > 1).astype(np.uint8), affine),
        )
        cases.append({"name": str(index), "image": [str(image)], "label": str(label), "task": "prostate"})
    handler = FingerprintFile(network, tmp_path / "w.pt", cases[:4], table, (16, 64, 64), 20, held=cases[4:])
    engine = Engine(lambda *_: None)
    handler.attach(engine)
    engine.run([0])
    said = f"{tmp_path / 'w.pt'} are final; 24 cases are measured for their fingerprint"
    assert caplog.text.index(said) < caplog.text.index("fingerprint written to")
    fingerprint = read_fingerprint(tmp_path / "w.pt")
    assert fingerprint.tasks["prostate"].cases == 4
    assert fingerprint.estimate.held and fingerprint.estimate.cases == 20 + 10
    assert network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_label_values_of_a_file_are_those_of_the_table_where_a_training_says_so(demo_weights, write_scan, tmp_path):
    convert(demo_weights, tmp_path / "w.pt")
    table = load_task_table()
    measurer = CaseMeasurer.of_weights(tmp_path / "w.pt", table, runtime="torch")
    label = np.zeros((24, 24, 12), np.uint8)
    label[8:16, 8:16, 4:8], spleen = 1, table.one("spleen")
    rates = []
    for values, factor in (("task", 1), ("global", spleen.values[0])):
        scan = np.random.default_rng(0).normal(size=label.shape).astype(np.float32)
        image, reference = write_scan("scan.nii", scan), write_scan(f"{values}.nii", label * factor)
        case = {"name": "a", "image": [str(image)], "label": str(reference), "task": "spleen"}
        rates += [row.measured.dice for row in measured_cases([case], measurer, worse=0, label_values=values)]
        assert not list(measured_cases([case | {"label": str(image)}], measurer, label_values=values))
    assert len(rates) == 2 and rates[0] == rates[1]


def test_too_few_cases_are_said(open_tasks, rows):
    with pytest.raises(ValueError, match="no task has enough training cases"):
        Fingerprint.fitted(rows[:3], open_tasks)


def test_the_command_measures_a_datalist_and_writes_the_file(uniseg, demo_weights, table, tmp_path, capsys, caplog):
    convert(demo_weights, tmp_path / "w.pt")
    fingerprint_file(tmp_path / "w.pt").write_text('{"format": 2}')
    write_phantom_tasks(tmp_path / "data", [table.one("prostate")], 5, seed=1)
    uniseg("fingerprint", str(tmp_path / "w.pt"), str(tmp_path / "data" / "datalist.json"), "--cases", "4")
    out = capsys.readouterr().out
    assert "make a new one" not in caplog.text
    assert "prostate: 4 cases" in out and "held" not in out and "w.pt.fingerprint.json" in out
    assert list(read_fingerprint(tmp_path / "w.pt").tasks) == ["prostate"]
    uniseg("convert", str(tmp_path / "w.pt"), str(tmp_path / "half.pt"), "--half")
    assert list(read_fingerprint(tmp_path / "half.pt").tasks) == ["prostate"]


def test_a_fingerprint_loses_no_task_and_its_cases_name_theirs(fitted, open_tasks, tmp_path):
    small = UniSeg(num_tasks=len(open_tasks), base_features=4, max_features=8, patch_size=[32, 64, 64])
    save_weights(small.state_dict(), tmp_path / "w.pt")
    fitted.save(tmp_path / "w.pt")
    kept = fingerprint_file(tmp_path / "w.pt").read_bytes()
    for task, message in (("hippocampus", "has the tasks left_atrium too"), (None, "no task for a: add")):
        entry = {"name": "a", "image": "a.nii.gz", "label": "b.nii.gz"} | ({} if task is None else {"task": task})
        (tmp_path / "datalist.json").write_text(json.dumps({"training": [entry]}))
        with pytest.raises(ValueError, match=message):
            fit_fingerprint(tmp_path / "w.pt", tmp_path / "datalist.json", tasks_file="open")
    assert fingerprint_file(tmp_path / "w.pt").read_bytes() == kept
