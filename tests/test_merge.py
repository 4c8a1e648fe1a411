"""One record and one report of processes that shared a folder."""

import csv
import json

import pytest

from uniseg_nets.io.files import read_json, write_json
from uniseg_nets.phantom import write_phantoms
from uniseg_nets.reports.collect import reported_cases
from uniseg_nets.reports.merge import merge_runs

NAMES = [f"c {number:03d}" for number in range(120)]
MADE_BY = {"versions": {"uniseg_nets": "0.9"}}


def process(started, *lines):
    first = {"started": f"2026-01-01T00:00:{started:02d}+00:00", "host": "node", "cases": 3, "provenance": MADE_BY}
    return [first, *lines]


def case(name, written, **facts):
    return {"case": name, "written": f"2026-01-01T00:01:{written:02d}+00:00", **facts}


@pytest.fixture
def folder(tmp_path):
    def write(**logs):
        (tmp_path / "log").mkdir()
        for name, lines in logs.items():
            (tmp_path / "log" / f"{name}.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        return tmp_path

    return write


@pytest.fixture
def reported(folder):
    """A folder with results of 120 cases and their report parts; two of them are to check, one is refused."""
    verdicts = {"c 000": "refused", "c 001": "check", "c 002": "check"}
    folder = folder(one=process(0, *(case(name, 0, seconds=1.0) for name in NAMES)))
    (folder / "report").mkdir()
    row = {"class": "liver", "value": 1, "status": "present", "voxels": 8, "volume_ml": 1.0, "mean": 4.0, "std": 2.0}
    for name in NAMES:
        about = {"task": "liver", "verdict": verdicts.get(name, "ok"), "reasons": []}
        result = {} if about["verdict"] == "refused" else {"label_map": f"{name}.nii.gz"}
        (folder / f"{name}.json").write_text(json.dumps(about | result | MADE_BY))
        if result:
            part = about | {"name": name, "classes": [row], "slices": []}
            (folder / "report" / f"{name}.json").write_text(json.dumps(part))
    return folder


def test_all_processes_become_one_record(folder):
    one = process(5, case("a", 1, seconds=2.0, verdict={"verdict": "ok"}), case("b", 3, failed="b is no scan"))
    two = process(0, case("c", 2, seconds=4.0))
    out = folder(one=one, two=two)
    record = merge_runs(out)
    assert record == json.loads((out / "run.json").read_text())
    assert (record["processes"], record["cases"]) == (2, 3) and record["seconds_per_case"] == {"a": 2.0, "c": 4.0}
    assert record["started"] == two[0]["started"] and record["written"] == one[2]["written"]
    assert record["verdicts"] == {"a": {"verdict": "ok"}}
    assert json.loads((out / "failures.json").read_text()) == record["failed"] == {"b": "b is no scan"}


def test_of_a_case_that_was_done_again_the_last_line_counts(folder):
    first = process(0, case("a", 1, failed="the disk is full"), case("b", 2, seconds=1.0))
    later = process(9, case("a", 7, seconds=3.0))
    out = folder(z_first=first, a_later=later)
    record = merge_runs(out)
    assert record["seconds_per_case"] == {"a": 3.0, "b": 1.0} and not record["failed"]
    assert not (out / "failures.json").exists()


def test_an_export_that_is_made_later_leaves_no_failure_and_the_seconds_of_the_prediction(folder):
    first = process(0, case("a", 1, seconds=3.0, verdict={"verdict": "ok"}), case("b", 2, failed="the label map is"))
    later = process(9, case("a", 7, exported=True), case("b", 8, exported=True))
    record = merge_runs(folder(one=first, two=later))
    assert not record["failed"] and record["seconds_per_case"] == {"a": 3.0} and "a" in record["verdicts"]


def test_cases_that_failed_on_another_rank_are_in_the_report(reported):
    write_json(reported / "run.json", {"failed": {"c 003": "no scan"}, "provenance": MADE_BY})
    write_json(reported / "run_1.json", {"failed": {"c 005": "no scan either"}, "provenance": MADE_BY})
    write_json(reported / "run_2.json", ["not a record of a run"])
    cases = {case["name"]: case for case in reported_cases(reported)}
    assert [cases[name]["verdict"] for name in ("c 003", "c 005", "c 006")] == ["failed", "failed", "ok"]


def test_a_case_that_failed_now_is_not_shown_with_its_earlier_label_map(reported):
    refused = {"verdict": {"verdict": "refused", "reasons": ["b"]}}
    later = process(
        9,
        case("c 000", 9, failed="a", **refused),
        case("c 003", 9, failed="no scan"),
        case("c 004", 9, failed="no report", label_map=True),
        case("c 005", 9, failed="b (--force ...)", **refused),
    )
    (reported / "log" / "later.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in later))
    merge_runs(reported)
    assert read_json(reported / "run.json")["failed_with_label_map"] == ["c 004"]
    cases = {case["name"]: case for case in reported_cases(reported)}
    failed, exported = cases["c 003"], cases["c 004"]
    assert (failed["verdict"], failed["reasons"], failed["classes"]) == ("failed", ["no scan"], [])
    assert exported["verdict"] == "ok" and exported["classes"]
    assert cases["c 000"]["verdict"] == "refused" and cases["c 000"]["reasons"] == []  # as its record has them
    assert (cases["c 005"]["verdict"], cases["c 005"]["classes"]) == ("refused", [])


def test_half_a_line_of_a_killed_process_is_left_out(folder, caplog):
    out = folder(one=process(0, case("a", 1, seconds=1.0)))
    with (out / "log" / "one.jsonl").open("a") as log:
        log.write('{"case": "b", "wri')
    (out / "log" / "killed_at_once.jsonl").write_text('{"start')
    record = merge_runs(out)
    assert record["cases"] == 1 and record["processes"] == 1
    assert "one.jsonl ends with half a line, left out: its process was killed or is still writing" in caplog.text


def test_a_damaged_file_of_the_records_is_named(folder, reported):
    part = reported / "report" / "c 003.json"
    part.write_text('{"name": ')
    with pytest.raises(ValueError, match=r"report/c 003\.json is no JSON"):
        merge_runs(reported)
    lines = (reported / "log" / "one.jsonl").read_text().splitlines(keepends=True)
    for damaged in ('{"case": "b", "wri\n', "\0\0\n", "7\n", "\n", '{"case": "b"}\n'):
        (reported / "log" / "one.jsonl").write_text("".join([*lines[:2], damaged, *lines[2:]]))
        with pytest.raises(ValueError, match=r"log/one\.jsonl, line 3 is damaged: delete the line, or restore"):
            merge_runs(reported)


def test_the_pages_of_many_cases_show_those_that_need_eyes_first(reported):
    merge_runs(reported)
    pages = [page.read_text() for page in sorted((reported / "report" / "pages").iterdir())]
    assert len(pages) == 3 and pages[0].index('id="c 000"') < pages[0].index('id="c 001"') < pages[0].index(
        'id="c 003"'
    )
    assert "120 cases: 1 refused, 2 check, 117 ok." in (reported / "report.html").read_text()
    rows = list(csv.DictReader((reported / "statistics.csv").open()))
    assert [row["case"] for row in rows[:4]] == ["c 000", "c 001", "c 002", "c 003"] and len(rows) == 120
    assert [row["case"] for row in json.loads((reported / "statistics.json").read_text())] == [r["case"] for r in rows]


def test_pages_of_flagged_cases_alone_leave_the_table_whole(reported, uniseg):
    merge_runs(reported)
    assert uniseg("merge", reported, "--pages=flagged") == 0
    page = (reported / "report.html").read_text()
    assert "3 cases: 1 refused, 2 check." in page and 'id="c 002"' in page and "c 003" not in page
    assert not list((reported / "report" / "pages").iterdir())
    assert len(list(csv.DictReader((reported / "statistics.csv").open()))) == 120


def test_a_folder_without_a_log_or_with_files_of_others_is_refused(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="expected the output folder of `uniseg segment`"):
        merge_runs(tmp_path)
    out = folder(one=process(0))
    with pytest.raises(FileNotFoundError, match="no case is done"):
        merge_runs(out)
    (out / "statistics.csv").write_text("mine")
    with pytest.raises(ValueError, match="would be overwritten"):
        merge_runs(out)


@pytest.mark.slow
def test_two_parts_and_a_merge_give_what_one_run_gives(table, demo_weights, tmp_path, uniseg):
    names = write_phantoms(tmp_path / "scans", table.one("whole_body_tumour"), 3, seed=7)
    out = tmp_path / "out"
    words = ["segment", tmp_path / "scans", out, "--task=whole_body_tumour", f"--weights={demo_weights}", "--report"]
    assert uniseg(*words, "--part=1/2") == 0
    assert sorted(path.stem for path in out.glob("*.json")) == [names[0], names[2]]  # no run.json, which is of all
    assert uniseg(*words, "--part=2/2", "--shared") == 0 and not (out / ".claims").exists()
    assert uniseg("merge", out) == 0
    record = json.loads((out / "run.json").read_text())
    assert set(record["seconds_per_case"]) == set(names) and record["processes"] == 2 and record["cases"] == 3
    assert [row["case"] for row in csv.DictReader((out / "statistics.csv").open())] == names
    assert all(name in (out / "report.html").read_text() for name in names)


def test_a_part_that_is_none_is_refused_before_any_work(tmp_path, uniseg, caplog):
    (tmp_path / "scans").mkdir()
    assert uniseg("segment", tmp_path / "scans", tmp_path / "out", "--task=liver", "--part=4/3") == 1
    assert "expected one from 1 to 3" in caplog.text and not (tmp_path / "out").exists()
