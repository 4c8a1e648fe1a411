"""Reports and DICOM objects of saved label maps: each is made where it is missing, and tells when it cannot be."""

import json
import os
import time
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from monai.data import MetaTensor
from torch import nn
from torch.utils.data import DataLoader

from tests.dicom_files import write_slice
from tests.test_results import case_of, save
from uniseg_nets.data import FaultTolerantDataset, rank_partition
from uniseg_nets.engines import CaseEvaluator
from uniseg_nets.handlers import RunLog
from uniseg_nets.io.errors import CasesFailedError
from uniseg_nets.io.provenance import dicom_mark
from uniseg_nets.reports import ReportCased, RunReport
from uniseg_nets.reports.merge import merge_runs
from uniseg_nets.transforms import SaveLabelMapd

UIDS = {"SeriesInstanceUID": "1.2.3.4", "FrameOfReferenceUID": "1.2.3.5", "PatientID": "p", "PatientName": "P"}
UIDS |= {"StudyID": "1", "StudyDate": "20200101", "StudyTime": "120000", "AccessionNumber": "1", "SeriesNumber": 1}
UIDS |= {"PatientBirthDate": "", "PatientSex": "", "ReferringPhysicianName": "", "InstanceNumber": 1}


class Predicted(nn.Module):
    """Must not be asked."""

    def forward(self, x):
        raise AssertionError("a finished case was predicted again")


def run(saver, exports, handlers=()):
    """A run with nothing left to predict."""
    evaluator = CaseEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader([]),
        network=Predicted(),
        exports=exports,
        val_handlers=list(handlers),
    )
    evaluator.run()


@pytest.fixture
def saver(table, tmp_path):
    return SaveLabelMapd("pred", tmp_path / "out", table, "spleen")


@pytest.fixture
def case(write_scan):
    volume = np.random.default_rng(0).normal(size=(12, 10, 8)).astype(np.float32)
    return case_of(write_scan("case1.nii", volume))


def test_a_report_asked_for_after_the_run_is_made_without_predicting_again(saver, case, tmp_path):
    save(saver, case)
    made = ReportCased(saver, [case])
    run(saver, [made], [RunLog(saver, 1), RunReport(saver)])
    report = tmp_path / "out" / "report" / "case1.json"
    assert report.is_file() and "case1" in (tmp_path / "out" / "report.html").read_text()
    before = report.stat().st_mtime_ns
    assert made.pending() == []
    run(saver, [made], [RunLog(saver, 1), RunReport(saver)])
    assert report.stat().st_mtime_ns == before


def test_a_report_of_an_earlier_label_map_goes_with_it_and_is_made_anew(saver, case, tmp_path, table):
    save(saver, case)
    run(saver, [ReportCased(saver, [case])], [RunLog(saver, 1), RunReport(saver)])
    report, page = tmp_path / "out" / "report" / "case1.json", tmp_path / "out" / "report.html"
    assert page.is_file()
    other = SaveLabelMapd("pred", tmp_path / "out", table, "spleen", metadata={"mirror": True})
    save(other, case)
    assert not report.exists() and not page.exists()
    run(other, [ReportCased(other, [case])])
    first = report.read_bytes()
    target = other.targets(case)[0]
    target.write_bytes(save(saver_elsewhere(table, tmp_path), case, value=0).read_bytes())  # corrected by hand
    run(other, [ReportCased(other, [case])])
    assert report.read_bytes() != first


def saver_elsewhere(table, tmp_path):
    return SaveLabelMapd("pred", tmp_path / "elsewhere", table, "spleen")


def test_a_report_that_cannot_be_made_is_a_failure_of_the_run_and_keeps_no_other_from_it(saver, case, tmp_path):
    save(saver, case)
    broken = case | {"image": [str(tmp_path / "gone.nii")]}

    class Gone(ReportCased):
        def pending(self):
            return [broken]

    made = []
    with pytest.raises(
        CasesFailedError, match=r"1 of 1 cases failed.*\n.*the label map is written, but no report: no file"
    ):
        run(saver, [Gone(saver, [broken]), with_pending(made, case)], [RunLog(saver, 1)])
    assert made == ["case1"] and "no report" in json.loads((tmp_path / "out" / "failures.json").read_text())["case1"]
    assert saver.targets(case)[0].is_file()
    assert json.loads((tmp_path / "out" / "run.json").read_text())["failed_with_label_map"] == ["case1"]
    merged = merge_runs(tmp_path / "out")
    assert merged["failed_with_label_map"] == list(merged["failed"]) == ["case1"]


def test_the_times_of_a_log_are_those_of_the_file_server(saver, case, tmp_path, monkeypatch):
    save(saver, case)
    touch = os.utime
    monkeypatch.setattr("uniseg_nets.io.files.os.utime", lambda path: touch(path, (86400, 86400)))
    run(saver, [with_pending([], case)], [RunLog(saver, 1)])
    (log,) = (tmp_path / "out" / "log").glob("*.jsonl")
    first, line = map(json.loads, log.read_text().splitlines())
    assert line["written"] == "1970-01-02T00:00:00+00:00" < first["started"]


def test_a_run_with_nothing_left_to_do_keeps_no_failure_of_an_earlier_one(saver, case, tmp_path):
    save(saver, case)
    with pytest.raises(CasesFailedError):
        run(saver, [with_pending(None, case)], [RunLog(saver, 2)])
    assert (tmp_path / "out" / "failures.json").is_file()
    record = json.loads((tmp_path / "out" / "run.json").read_text()) | {"seconds_per_case": {"case1": 2.0}}
    (tmp_path / "out" / "run.json").write_text(json.dumps(record))
    run(saver, [], [RunLog(saver, 1)])
    assert not (tmp_path / "out" / "failures.json").exists()
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["failed"] == {} and record["seconds_per_case"] == {"case1": 2.0}  # of the run before


def with_pending(made, case):
    def export(data):
        made.append(data["name"])

    export.pending = lambda: [case]
    return export


@pytest.mark.parametrize("name", ["run.json", "failures.json", "statistics.csv", "report.html"])
def test_a_run_s_files_overwrite_none_of_a_user(saver, tmp_path, name):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text('{"theirs": 1}')
    with pytest.raises(ValueError, match=f"out/{name} would be overwritten"):
        RunLog(saver, 1), RunReport(saver)
    assert (tmp_path / "out" / name).read_text() == '{"theirs": 1}'


@pytest.mark.parametrize("key", ["provenance", "made_by"])  # the second is that of versions up to 0.8
def test_a_run_s_files_replace_those_of_an_earlier_run(saver, tmp_path, key):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "run.json").write_text(f'{{"{key}": {{}}}}')
    assert RunLog(saver, 1).saver is RunReport(saver).saver


def test_a_file_of_a_run_s_name_that_is_no_json_stays(saver, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "run.json").write_text("notes on a run")
    with pytest.raises(ValueError, match=r"out/run\.json would be overwritten"):
        RunLog(saver, 1)


def test_a_run_s_record_counts_what_was_finished_before_it_and_names_what_failed(saver, tmp_path):
    def read(case):
        if case["name"] == "bad":
            raise ValueError("broken file")
        return case | {"image": torch.zeros(1, 2, 2, 2)}

    evaluator = CaseEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(FaultTolerantDataset([{"name": "good"}, {"name": "bad"}], read), batch_size=1),
        network=nn.Identity(),
        val_handlers=[RunLog(saver, 5)],
    )
    with pytest.raises(CasesFailedError):
        evaluator.run()
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert (record["cases"], record["finished_before"], record["failed"]) == (5, 3, {"bad": "broken file"})
    assert set(record["seconds_per_case"]) == {"good"} and record["started"] <= record["written"]
    assert json.loads((tmp_path / "out" / "failures.json").read_text()) == {"bad": "broken file"}


@pytest.fixture
def run_over(saver, tmp_path):
    """A run over cases, of which some are finished before and some are faulty; returns its two tables."""

    def read(case):
        if case.get("faulty"):
            raise ValueError(f"broken file {case['name']}")
        return case | {"image": torch.zeros(1, 2, 2, 2)}

    def run_over(cases, left=None, rank=0):
        left = rank_partition(cases) if left is None else left
        evaluator = CaseEvaluator(
            device=torch.device("cpu"),
            val_data_loader=DataLoader(FaultTolerantDataset(left, read), batch_size=1),
            network=nn.Identity(),
            val_handlers=[RunLog(saver, len(rank_partition(cases)), cases=cases)],
        )
        try:
            evaluator.run()
        except CasesFailedError as error:
            assert set(error.failures) <= {case["name"] for case in cases}
        tables = [tmp_path / "out" / f"{name}{'_1' if rank else ''}.json" for name in ("run", "failures")]
        return [json.loads(table.read_text()) if table.exists() else {} for table in tables]

    return run_over


def a_case(name, faulty=False):
    return {"name": name, "faulty": faulty}


def test_the_tables_of_a_folder_keep_what_earlier_runs_said_of_other_cases(run_over, caplog):
    run_over([a_case("a"), a_case("b", faulty=True)])
    record, failures = run_over([a_case("c"), a_case("d", faulty=True)])
    assert failures == record["failed"] == {"b": "broken file b", "d": "broken file d"}
    assert set(record["seconds_per_case"]) == {"a", "c"} and record["cases"] == 2
    record, failures = run_over([a_case("a"), a_case("b")], left=[a_case("b")])  # b is repaired
    assert failures == record["failed"] == {"d": "broken file d"}
    assert set(record["seconds_per_case"]) == {"a", "b", "c"} and record["finished_before"] == 1
    record, failures = run_over([a_case("c", faulty=True), a_case("d")])
    assert failures == {"c": "broken file c"} and set(record["seconds_per_case"]) == {"a", "b", "d"}


@pytest.mark.parametrize("damaged", ["\n", "\0\0\n", '{"case": "a"}\n'])
def test_a_damaged_log_of_an_earlier_run_is_named_and_stops_no_run(run_over, tmp_path, caplog, damaged):
    run_over([a_case("a", faulty=True)])
    (log,) = (tmp_path / "out" / "log").iterdir()
    run_over([a_case("b", faulty=True)])
    log.write_text(log.read_text() + damaged)
    failures = run_over([a_case("c", faulty=True)])[1]
    assert failures == {"b": "broken file b", "c": "broken file c"}
    assert f"left out what this log says of earlier runs: {log}, line 3 is damaged" in caplog.text
    with pytest.raises(ValueError, match="line 3 is damaged"):
        merge_runs(tmp_path / "out")


def test_a_run_that_was_stopped_and_goes_on_has_the_seconds_of_both_halves(run_over, tmp_path):
    cases = [a_case("a"), a_case("b")]
    run_over(cases, left=cases[:1])
    (tmp_path / "out" / "run.json").unlink()
    assert set(run_over(cases, left=cases[1:])[0]["seconds_per_case"]) == {"a", "b"}
    assert set(run_over(cases, left=[])[0]["seconds_per_case"]) == {"a", "b"}


def test_each_process_of_a_run_speaks_of_its_own_cases_and_the_first_of_those_of_none(run_over, monkeypatch):
    run_over([a_case("a", faulty=True), a_case("b", faulty=True), a_case("z", faulty=True)])
    monkeypatch.setenv("WORLD_SIZE", "2")
    tables = {}
    for rank in (0, 1):
        monkeypatch.setenv("RANK", str(rank))
        tables[rank] = run_over([a_case("a", faulty=True), a_case("b")], rank=rank)
    assert tables[0][1] == {"a": "broken file a", "z": "broken file z"}
    assert tables[1][1] == {} and set(tables[1][0]["seconds_per_case"]) == {"b"}


def test_what_killed_runs_left_half_written_is_removed_a_day_later(saver, tmp_path):
    folders = [
        tmp_path / "out" / place for place in (".writing-old", ".writing-new", ".writing-slow", "report/.writing-1")
    ]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "a.nii.gz").touch()
        ages = {".writing-new": (23, 23), ".writing-slow": (1, 48)}.get(folder.name, (48, 48))
        for path, hours in zip((folder / "a.nii.gz", folder), ages):
            os.utime(path, (time.time() - 3600 * hours,) * 2)
    RunLog(saver, 1, part=True)
    assert [folder.exists() for folder in folders] == [False, True, True, False]


def test_tables_of_ranks_that_a_run_lacks_are_removed_and_files_of_others_stay(saver, case, tmp_path):
    save(saver, case)
    out = tmp_path / "out"
    for name in ("run.json", "run_1.json"):
        (out / name).write_text('{"provenance": {}}')
    for name, content in (("failures_1.json", '{"b": "no scan"}'), ("run_2.json", "[]"), ("run_of_mine.json", "{}")):
        (out / name).write_text(content)
    run(saver, [with_pending([], case)], [RunLog(saver, 1)])
    assert not (out / "run_1.json").exists() and not (out / "failures_1.json").exists()
    assert (out / "run_2.json").exists() and (out / "run_of_mine.json").exists()


def test_an_export_that_is_made_later_is_in_the_log(saver, case, tmp_path):
    save(saver, case)
    run(saver, [with_pending([], case)], [RunLog(saver, 1)])
    lines = [json.loads(line) for path in (tmp_path / "out" / "log").iterdir() for line in path.open()]
    assert [(line["case"], line["exported"]) for line in lines if "case" in line] == [("case1", True)]


@pytest.fixture
def study(tmp_path):
    """A CT series of 8 slices."""
    rng = np.random.default_rng(0)
    for z in range(8):
        pixels = rng.integers(0, 100, size=(10, 12))
        file = tmp_path / "study" / f"{z}.dcm"
        write_slice(file, pixels, "CT", (0, 0, 2 * z), (1, 1, 2), **UIDS)
    return tmp_path / "study"


def save_study(saver, study, value=1):
    from uniseg_nets.transforms import LoadCase

    case = {"name": "case1", "image": [str(study)]}
    saver.unfinished([case])
    scan = LoadCase(["CT"])(study)
    label = MetaTensor(torch.zeros(scan.shape, dtype=torch.uint8), affine=scan.affine)
    label[:, 3:7, 3:7, 3:5] = 11 * value
    label.meta["filename_or_obj"] = str(study)
    saver({**case, "pred": label})
    return case


@pytest.fixture
def dicom_export(saver):
    pytest.importorskip("highdicom")
    from uniseg_nets.dicom import SaveDicomSegd

    return lambda *cases: SaveDicomSegd(saver, list(cases), ["CT"])


def test_a_dicom_object_that_failed_or_was_not_asked_for_is_made_by_the_next_run(saver, study, dicom_export, tmp_path):
    case = save_study(saver, study)
    target = tmp_path / "out" / "case1.dcm"
    run(saver, [dicom_export(case)])
    first = pydicom.dcmread(target)
    assert first.ContentDescription == f"label map {dicom_mark(target)}" and len(first.ContentDescription) <= 64
    assert dicom_export(case).pending() == []
    run(saver, [dicom_export(case)])
    assert pydicom.dcmread(target).SOPInstanceUID == first.SOPInstanceUID
    target.unlink()
    run(saver, [dicom_export(case)])
    assert target.is_file()


def test_a_dicom_object_goes_with_the_label_map_it_was_made_of(saver, study, dicom_export, tmp_path):
    case = save_study(saver, study)
    run(saver, [dicom_export(case)])
    os.utime(next(study.iterdir()), (1, 1))
    assert saver.unfinished([case]) == [case]
    save_study(saver, study, value=0)
    assert not (tmp_path / "out" / "case1.dcm").exists()


def test_nothing_found_is_no_failure_though_it_makes_no_dicom_object(saver, study, dicom_export, tmp_path, caplog):
    case = save_study(saver, study, value=0)
    run(saver, [dicom_export(case)])
    assert "the label map has no foreground" in caplog.text and not (tmp_path / "out" / "case1.dcm").exists()


def test_a_dicom_file_of_others_in_the_way_stays_and_the_run_says_so(saver, study, dicom_export, tmp_path):
    case = save_study(saver, study)
    theirs = tmp_path / "out" / "case1.dcm"
    theirs.write_bytes(next(study.iterdir()).read_bytes())
    with pytest.raises(CasesFailedError, match=r"no DICOM Segmentation: .*case1.dcm exists and was not written by"):
        run(saver, [dicom_export(case)])
    assert theirs.read_bytes() == next(study.iterdir()).read_bytes()


def test_scans_without_identifiers_are_refused_before_anything_is_predicted(study, dicom_export):
    for file in study.iterdir():
        data = pydicom.dcmread(file)
        del data.SeriesInstanceUID
        data.save_as(file)
    with pytest.raises(ValueError, match=r"1 of 1 cases cannot get .*0.dcm has no SeriesInstanceUID: leave out"):
        dicom_export({"name": "case1", "image": [str(study)]})


def test_a_scan_that_did_not_come_as_dicom_is_named_and_no_failure(saver, case, dicom_export, caplog):
    save(saver, case)
    run(saver, [dicom_export(case)])
    assert "1 cases did not come as DICOM, such as case1" in caplog.text
    assert not (Path(saver.output_dir) / "case1.dcm").exists()
