"""A folder of scans as jobs of a scheduler."""

import json
import os
import shutil
import subprocess

import pytest

from uniseg_nets.cli.scale import _from_anywhere
from uniseg_nets.data import find_cases
from uniseg_nets.workflow import write_workflow

OPTIONS = "--task left_atrium --report"


@pytest.fixture
def scans(tmp_path):
    (tmp_path / "scans").mkdir()
    for number in range(5):
        (tmp_path / "scans" / f"case{number}.nii.gz").touch()
    return tmp_path / "scans"


def command(folder, name, text):
    path = folder / name
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def job(scans, tmp_path):
    """A job of the array: the status of `uniseg segment` and the restarts so far -> its own status, and what it ran."""
    jobs = tmp_path / "jobs"
    write_workflow(jobs, scans, tmp_path / "out with spaces", OPTIONS, cases_per_job=2)

    def run(status, restarts=None):
        command(tmp_path, "uniseg", f'printf "%s|" uniseg "$@" >> "{tmp_path.as_posix()}/ran"; exit {status}')
        command(tmp_path, "scontrol", f'printf "%s|" scontrol "$@" >> "{tmp_path.as_posix()}/ran"')
        ran = tmp_path / "ran"
        ran.write_text("")
        environment = os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
        environment |= {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "2"}
        environment |= {} if restarts is None else {"SLURM_RESTART_COUNT": str(restarts)}
        done = subprocess.run([shutil.which("bash"), "array.sh"], cwd=jobs, env=environment, check=False)
        return done.returncode, ran.read_text()

    return run


def test_jobs_get_the_cases_of_a_search_made_once(scans, tmp_path, uniseg):
    jobs = tmp_path / "jobs"
    assert uniseg("workflow", jobs, scans, tmp_path / "out", f"--options={OPTIONS}", "--cases_per_job=2") == 0
    assert find_cases(jobs / "cases.json") == find_cases(scans)
    settings = (jobs / "config.yaml").read_text()
    assert "\nparts: 3\n" in settings and '\noptions: "--task=left_atrium --report=true"\n' in settings
    assert "#SBATCH --array=1-3\n" in (jobs / "array.sh").read_text()
    assert "config['parts']" in (jobs / "Snakefile").read_text()


def test_of_a_datalist_of_several_tasks_only_the_cases_of_the_task_are_divided(scans, tmp_path, uniseg):
    cases = [{"image": str(path), "task": task} for path, task in zip(sorted(scans.iterdir()), 2 * ["lung", "liver"])]
    (tmp_path / "list.json").write_text(json.dumps({"testing": cases}))
    options = ["--options=--task liver --weights demo", "--cases_per_job=1"]
    assert uniseg("workflow", tmp_path / "jobs", tmp_path / "list.json", tmp_path / "out", *options) == 0
    kept = find_cases(tmp_path / "jobs" / "cases.json")
    assert [case["name"] for case in kept] == ["case1", "case3"]
    assert "\nparts: 2\n" in (tmp_path / "jobs" / "config.yaml").read_text()


def test_paths_in_the_options_are_those_of_the_command(scans, tmp_path, uniseg, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("my own.pt", "liver"):
        (tmp_path / name).touch()
    assert (
        uniseg("workflow", "jobs", scans, "out", "--options=-w 'my own.pt' --task liver --bundle=uniseg_upstream") == 0
    )
    kept = json.loads((tmp_path / "jobs" / "config.yaml").read_text().split("\noptions: ")[1].splitlines()[0])
    assert kept == f"'--weights={tmp_path}/my own.pt' --task=liver --bundle=uniseg_upstream"


def test_several_weights_are_made_absolute_and_names_of_shipped_ones_are_no_paths(scans, tmp_path, uniseg, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.pt", "b.pt", "open", "demo"):
        (tmp_path / name).touch()
    entry = {"name": "organ", "channels": ["CT"], "spacing": [1, 1, 1], "classes": ["organ"]}
    (tmp_path / "plan.json").write_text(json.dumps({"task_entry": entry}))
    assert uniseg("workflow", "jobs", scans, "out", "--options=--plan plan.json --weights a.pt,b.pt") == 0
    assert f"--weights={tmp_path}/a.pt,{tmp_path}/b.pt" in (tmp_path / "jobs" / "config.yaml").read_text()
    assert uniseg("workflow", "more", scans, "out", "--options=--weights demo --tasks_file open --task sarcoma") == 0
    assert '"--weights=demo --tasks_file=open --task=sarcoma"' in (tmp_path / "more" / "config.yaml").read_text()


@pytest.mark.parametrize("name", ["my bundle (v2)", "a,b", "[c]"])
def test_a_path_of_one_thing_is_made_absolute_whole(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    for option in ("bundle", "tasks_file", "plan"):
        assert _from_anywhere(f"--{option}={name}") == f"--{option}={tmp_path / name}"


def test_weights_that_only_the_machines_of_the_jobs_have_are_written_with_a_warning(scans, tmp_path, uniseg, caplog):
    there = "/opt/container/model.pt"
    options = f"--options=--task liver --weights {there}"
    assert uniseg("workflow", tmp_path / "jobs", scans, tmp_path / "out", options) == 0
    assert f"--weights={there}" in (tmp_path / "jobs" / "config.yaml").read_text()
    assert f"no weights at {there} on this machine" in caplog.text
    assert uniseg("workflow", tmp_path / "more", scans, tmp_path / "out", options.replace("liver", "livr")) != 0
    assert "unknown task 'livr'" in caplog.text and not (tmp_path / "more").exists()


def test_a_job_of_the_array_does_its_part(job, tmp_path):
    status, ran = job(0)
    out = tmp_path / "out with spaces"
    assert status == 0 and ran == f"uniseg|segment|cases.json|{out}|--task|left_atrium|--report|--shared|--part|3|"


def test_faulty_scans_do_not_start_a_job_again(job):
    status, ran = job(3)
    assert status == 0 and "scontrol" not in ran


def test_a_job_that_died_is_alone_started_again_three_times(job):
    for restarts in (None, 1, 2):
        status, ran = job(137, restarts)
        assert status == 0 and ran.endswith("scontrol|requeue|7_2|")
    status, ran = job(137, 3)
    assert status != 0 and "scontrol" not in ran


def test_files_that_are_there_are_not_overwritten(scans, tmp_path):
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "Snakefile").write_text("mine")
    with pytest.raises(ValueError, match=r"jobs/Snakefile exists already: choose another folder"):
        write_workflow(tmp_path / "jobs", scans, tmp_path / "out", OPTIONS)
    assert [path.name for path in (tmp_path / "jobs").iterdir()] == ["Snakefile"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--cases_per_job=0", f"--options={OPTIONS}"], "a job of 0 cases: expected at least 1"),
        (["--options=--taks liver"], "taks"),
        (["--options=--task liver --shared"], "--options has --shared, which each job gets by itself"),
        (["--options=--task livr --weights demo"], "unknown task 'livr': did you mean 'liver'?"),
        (["--options=--task sarcoma,livr --weights open"], "unknown task 'livr'"),
        (["--options=--task livr --tasks_file uniseg --weights open"], "unknown task 'livr'"),
        (["--options=--report"], "say with `--task` what to segment"),
        ([], "say with `--task` what to segment"),
        (["--options=--task liver --weights none.pt"], "no weights at none.pt"),
        (["--options=--task liver --tasks_file none.json --weights demo"], "no task table none.json"),
        (["--options=--plan none.json"], "none.json"),
        (["--options=--bundle none --task liver"], "no bundle"),
        (["--options='--task"], "options '--task: No closing quotation"),
    ],
)
def test_wrong_settings_are_refused_before_any_job(scans, tmp_path, uniseg, caplog, words, message):
    assert uniseg("workflow", tmp_path / "jobs", scans, tmp_path / "out", *words) != 0
    assert message in caplog.text and not (tmp_path / "jobs").exists()
