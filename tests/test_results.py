"""Which result is whose: nothing is handed back as a scan's that was made from another, or otherwise."""

import itertools
import json
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from uniseg_nets.io.errors import CasesFailedError
from uniseg_nets.reports import Report
from uniseg_nets.tasks import TaskTable
from uniseg_nets.transforms import SaveLabelMapd


@pytest.fixture
def scan(write_scan):
    """Writes a scan; equal arguments give files of equal size."""

    def write(name, value=1):
        return write_scan(name, np.full((8, 8, 8), value, dtype=np.int16))

    return write


def case_of(*scans, name="case1"):
    return {"name": name, "image": [str(path) for path in scans]}


def save(saver, case, value=1):
    """Writes a label map of a case as a run does."""
    image = nib.load(case["image"][0])
    label = MetaTensor(torch.full((1, *image.shape), value, dtype=torch.uint8), affine=torch.from_numpy(image.affine))
    label.meta["filename_or_obj"] = case["image"][0]
    saver({**case, "pred": label})
    return saver.targets(case)[0]


def run(saver, *cases):
    """What a run does with cases; returns the names of those that it computed."""
    left = saver.unfinished(list(cases))
    for case in left:
        save(saver, case)
    return [case["name"] for case in left]


@pytest.fixture
def saver(table, tmp_path):
    def make(task="spleen", tasks=table, **more):
        return SaveLabelMapd("pred", tmp_path / "out", tasks, task, **more)

    return make


def test_another_scan_of_the_same_name_is_refused_and_the_first_one_s_map_stays(saver, scan):
    first, second = scan("site_a/case1.nii"), scan("site_b/case1.nii", 2)
    os.utime(second, (1, 1))
    assert run(saver(), case_of(first)) == ["case1"]
    kept = saver().targets(case_of(first))[0].read_bytes()
    with pytest.raises(ValueError, match=r"result of another scan: .*site_a/case1.nii, not .*site_b/case1.nii"):
        run(saver(), case_of(second), case_of(scan("site_b/case2.nii"), name="case2"))
    assert not saver().targets(case_of(second, name="case2"))[0].exists()  # refused before any work
    with pytest.raises(ValueError, match="result of another scan"):
        save(saver(), case_of(second))
    assert saver().targets(case_of(first))[0].read_bytes() == kept


def test_another_second_channel_is_another_scan(saver, scan):
    files = [scan(name) for name in ("a_0000.nii", "a_0001.nii", "b/a_0001.nii")]
    assert run(saver("whole_body_tumour"), case_of(*files[:2])) == ["case1"]
    assert run(saver("whole_body_tumour"), case_of(*files[:2])) == []
    with pytest.raises(ValueError, match="result of another scan"):
        run(saver("whole_body_tumour"), case_of(files[0], files[2]))
    os.utime(files[1], (1, 1))
    assert run(saver("whole_body_tumour"), case_of(*files[:2])) == ["case1"]


def test_a_scan_replaced_by_an_older_file_is_segmented_anew(saver, scan):
    image = scan("case1.nii")
    assert run(saver(), case_of(image)) == ["case1"] and run(saver(), case_of(image)) == []
    scan("case1.nii", 2)
    os.utime(image, (1, 1))
    assert run(saver(), case_of(image)) == ["case1"] and run(saver(), case_of(image)) == []


def test_a_scan_replaced_while_it_is_segmented_is_segmented_anew(saver, scan):
    first = saver()
    case = case_of(scan("case1.nii"))
    assert first.unfinished([case]) == [case]
    os.utime(case["image"][0], (1, 1))
    save(first, case)
    assert saver().unfinished([case]) == [case]


@pytest.mark.parametrize(
    "change", [{"spacing": [4, 1, 1]}, {"scaling": [{"scheme": "z_score"}]}, {"axes": "acquisition"}]
)
def test_another_task_table_under_the_same_task_s_name_segments_anew(saver, scan, change):
    entry = {"name": "spleen", "channels": ["CT"], "spacing": [3, 1, 1], "classes": ["spleen"]}
    case = case_of(scan("case1.nii"))
    assert run(saver(tasks=TaskTable([entry])), case) == ["case1"]
    assert run(saver(tasks=TaskTable([entry])), case) == []
    assert run(saver(tasks=TaskTable([entry | change])), case) == ["case1"]


def test_a_setting_that_is_no_longer_given_segments_anew(saver, scan):
    case = case_of(scan("case1.nii"))
    assert run(saver(metadata={"mirror": True}), case) == ["case1"]
    assert run(saver(), case) == ["case1"]


def test_other_weights_under_the_same_name_segment_anew(saver, scan, tmp_path):
    case, weights = case_of(scan("case1.nii")), tmp_path / "model.pt"
    weights.write_bytes(b"one")
    assert run(saver(weights=weights), case) == ["case1"] and run(saver(weights=weights), case) == []
    weights.write_bytes(b"two")
    assert run(saver(weights=weights), case) == ["case1"]


def test_a_second_task_into_the_same_folder_is_refused_by_name(saver, scan):
    case = case_of(scan("case1.nii"))
    run(saver("spleen"), case)
    with pytest.raises(ValueError, match=r"choose another output folder.*\n.*case1.nii.gz, .* task spleen, not liver"):
        run(saver("liver"), case)
    assert run(saver("spleen"), case) == []


@pytest.mark.parametrize("name", ["case1.nii.gz", "case1.json"])
def test_a_file_of_others_in_the_way_is_refused_and_stays(saver, scan, tmp_path, name):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text('{"reference": true}')
    case = case_of(scan("case1.nii"))
    with pytest.raises(ValueError, match=f"out/{name}, which has no record of this package"):
        run(saver(), case)
    with pytest.raises(ValueError, match="no record of this package"):
        save(saver(), case)
    assert (tmp_path / "out" / name).read_text() == '{"reference": true}'


@pytest.mark.parametrize("name", ["run", "failures", "statistics", "run_1"])
def test_a_scan_with_the_name_of_a_run_s_table_is_refused_before_any_work(saver, scan, name):
    with pytest.raises(ValueError, match=f"{name}: the run writes its own tables under these names"):
        run(saver(), case_of(scan(f"{name}.nii"), name=name))
    assert run(saver(), case_of(scan("run_out.nii"), name="run_out")) == ["run_out"]


def test_a_result_of_a_version_that_did_not_record_its_scan_is_refused(saver, scan):
    case = case_of(scan("case1.nii"))
    run(saver(), case)
    record = saver().targets(case)[1]
    content = json.loads(record.read_text())
    record.write_text(json.dumps({key: value for key, value in content.items() if key != "scan"}))
    with pytest.raises(ValueError, match="did not record the scan"):
        run(saver(), case)


def test_a_map_that_was_corrected_by_hand_is_neither_computed_nor_overwritten(saver, scan, caplog):
    case = case_of(scan("case1.nii"))
    run(saver(), case)
    target = saver().targets(case)[0]
    target.write_bytes(b"corrected")
    assert run(saver(), case) == [] and "was changed since it was written" in caplog.text
    with pytest.raises(ValueError, match="which was changed since it was written"):
        run(saver(metadata={"mirror": True}), case)
    assert target.read_bytes() == b"corrected"


def test_a_case_that_has_no_result_yet_is_no_changed_one(saver, scan, caplog):
    assert run(saver(), case_of(scan("case1.nii"))) == ["case1"]
    assert "was changed since it was written" not in caplog.text


def test_a_deleted_map_is_not_finished(saver, scan):
    case = case_of(scan("case1.nii"))
    run(saver(), case)
    saver().targets(case)[0].unlink()
    assert run(saver(), case) == ["case1"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("step", range(8))
@pytest.mark.parametrize("again", [False, True], ids=["first", "replacing"])
def test_a_process_killed_at_any_step_of_writing_leaves_nothing_in_the_way(saver, scan, monkeypatch, step, again):
    case, steps = case_of(scan("case1.nii")), itertools.count()
    if again:
        run(saver(metadata={"overlap": 0.25}), case)

    def killed_at(method):
        def call(path, *args, **options):
            if next(steps) == step:
                os._exit(9)
            return method(path, *args, **options)

        return call

    if not (child := os.fork()):
        monkeypatch.setattr("pathlib.Path.replace", killed_at(Path.replace))
        monkeypatch.setattr("pathlib.Path.unlink", killed_at(Path.unlink))
        run(saver(), case)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status == (9 if step < 5 else 0)
    assert run(saver(), case) == (["case1"] if status else [])
    assert nib.load(saver().targets(case)[0]).get_fdata().max() == 1


def test_two_cases_with_one_result_are_refused_and_both_named(saver, scan, table, tmp_path):
    first, second = case_of(scan("p1/ct.nii"), name="ct"), case_of(scan("p2/ct.nii"), name="ct")
    with pytest.raises(ValueError, match=r"p1[\\/]ct\.nii.*p2[\\/]ct\.nii.*different names"):
        run(saver(), first, second)
    each = SaveLabelMapd("pred", tmp_path / "out", table)  # each task has a folder, but a run knows its cases by name
    with pytest.raises(ValueError, match="two cases are called 'ct'"):
        run(each, first | {"task": "spleen"}, second | {"task": "liver"})


def test_the_record_names_the_scan_the_whole_task_and_the_time(saver, scan):
    case = case_of(scan("case1.nii"))
    run(saver("all_ct"), case)
    record = json.loads(saver().targets(case)[1].read_text())
    assert record["scan"][0]["path"] == case["image"][0] and record["scan"][0]["files"] == 1
    assert record["task"] == "all_ct" and [task["name"] for task in record["tasks"]][:2] == ["liver", "kidney"]
    assert record["tasks"][0]["spacing"] == [3.0, 1.5, 1.5] and record["tasks"][0]["scaling"][0]["scheme"] == "window"
    assert record["written"].endswith("+00:00")


def test_results_go_where_they_were_to_go_when_the_working_directory_changes(table, scan, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saver = SaveLabelMapd("pred", "out", table, "spleen")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert run(saver, case_of(scan("case1.nii"))) == ["case1"]
    assert (tmp_path / "out" / "case1.nii.gz").is_file() and not list((tmp_path / "elsewhere").iterdir())


class Failing:
    """An evaluator of which a case failed."""

    def __init__(self):
        self.failures = {"case2": "out of memory"}

    def run(self):
        raise CasesFailedError(self.failures, 2)


def test_an_evaluation_does_not_rate_what_an_earlier_run_left_of_a_failed_case(table, scan, tmp_path):
    each = SaveLabelMapd("pred", tmp_path / "maps", table)
    cases = [case_of(scan(f"{name}.nii"), name=name) | {"task": "spleen"} for name in ("case1", "case2")]
    for case in cases:
        save(each, case)
        case["label"] = str(each.targets(case)[0])
    with pytest.raises(CasesFailedError, match="1 of 2 cases failed"):
        Report(cases, tmp_path / "maps", tmp_path / "report", table, worst=0).after(Failing())
    assert {row["case"] for row in json.loads((tmp_path / "report" / "cases.json").read_text())} == {"case1"}


def test_two_patients_of_one_name_are_not_rated_by_one_map(table, scan, tmp_path):
    each = SaveLabelMapd("pred", tmp_path / "maps", table)
    cases = [case_of(scan(f"{patient}/ct.nii"), name="ct") | {"task": "spleen"} for patient in ("p1", "p2")]
    save(each, cases[0])
    with pytest.raises(ValueError, match=r"several cases would be rated by .*spleen/ct\.nii\.gz"):
        Report(cases, tmp_path / "maps", tmp_path / "report", table).write()
