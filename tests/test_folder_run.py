"""A folder with bad scans among good ones, stopped in the middle and started again."""

import json
import os
import subprocess
import sys
import time

import pytest

from uniseg_nets.phantom import write_phantoms

BAD = {1: b"no scan at all", 5: b"", 9: None}  # None: the second channel is missing


@pytest.fixture
def scans(tmp_path, table):
    folder = tmp_path / "scans"
    names = write_phantoms(folder, table.one("whole_body_tumour"), 12, seed=7)
    for index, content in BAD.items():
        second = folder / "imagesTr" / f"{names[index]}_0001.nii.gz"
        if content is None:
            second.unlink()
        else:
            second.write_bytes(content)
    return folder, names


def command(demo_weights, folder, output):
    words = ["segment", str(folder), str(output), "--task", "whole_body_tumour", "--weights", str(demo_weights)]
    return [sys.executable, "-m", "uniseg_nets", *words]


def finished(output):
    """Cases with a record and a label map: the record takes its place first, so a killed run can leave it alone."""
    return {
        path.name.removesuffix(".json"): path.stat().st_mtime_ns
        for path in output.glob("whole*.json")
        if path.with_suffix(".nii.gz").is_file()
    }


def test_a_stopped_run_goes_on_and_names_what_failed(scans, demo_weights, tmp_path):
    folder, names = scans
    output = tmp_path / "out"
    with subprocess.Popen(command(demo_weights, folder, output), stderr=subprocess.DEVNULL) as process:
        while not output.is_dir() or len(finished(output)) < 4:
            assert process.poll() is None
            time.sleep(0.05)
        process.kill()
    before = finished(output)
    assert 4 <= len(before) < 9
    again = subprocess.run(command(demo_weights, folder, output), capture_output=True, text=True, check=False)
    assert again.returncode == 3
    after = finished(output)
    bad = {names[index] for index in BAD}
    assert set(after) == set(names) - bad
    assert all(after[name] == made for name, made in before.items())  # nothing was computed twice
    assert len(list(output.glob("*.nii.gz"))) == 9
    failures = json.loads((output / "failures.json").read_text())
    assert set(failures) == bad and all(name in again.stderr for name in bad)
    record = json.loads((output / "run.json").read_text())
    assert record["cases"] == 12 and record["finished_before"] == len(before)
    lines = [json.loads(line) for log in (output / "log").iterdir() for line in log.open() if line.endswith("\n")]
    assert set(record["seconds_per_case"]) == {line["case"] for line in lines if "seconds" in line}
    assert set(record["seconds_per_case"]) >= set(after) - set(before)
    assert record["provenance"]["task"] == "whole_body_tumour" and len(record["provenance"]["weights_sha256"]) == 64


def test_several_processes_share_a_run(scans, demo_weights, tmp_path):
    folder, names = scans
    output = tmp_path / "out"
    ranks = [os.environ | {"RANK": str(rank), "WORLD_SIZE": "2"} for rank in range(2)]
    runs = [
        subprocess.Popen(command(demo_weights, folder, output), env=env, stderr=subprocess.DEVNULL) for env in ranks
    ]
    assert [run.wait() for run in runs] == [0, 3]  # all three bad scans fall to the second
    assert set(finished(output)) == {name for index, name in enumerate(names) if index not in BAD}
    records = [json.loads((output / name).read_text()) for name in ("run.json", "run_1.json")]
    assert [record["cases"] for record in records] == [6, 6]
    assert len(json.loads((output / "failures_1.json").read_text())) == 3
