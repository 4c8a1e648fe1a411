"""The verbs of the ``uniseg`` command for more scans than one process does."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from uniseg_nets.cli.arguments import spelled_out
from uniseg_nets.cli.segment import segment
from uniseg_nets.cli.values import bundle_and_overlays, existing, listed, one_or_several, weights_file
from uniseg_nets.tasks import TaskTable
from uniseg_nets.weights.shipped import OPEN, SHIPPED

__all__ = ["merge", "workflow"]

logger = logging.getLogger(__name__)

_PATHS = ("weights", "tasks_file", "bundle", "plan")  # options of `uniseg segment` that may be paths
_NAMES = ("uniseg", *(name for one in SHIPPED for name in (one.name, one.table)))  # of shipped weights and task tables
_OF_THE_JOBS = ("shared", "part")


def merge(output: str, *, pages: Literal["all", "flagged"] = "all") -> None:
    """Make one record and one report of all processes that segmented into a folder.

    Writes run.json and failures.json; and, of what --report left, statistics.csv and report.html, of pages of 50 cases.

    Args:
        output: the folder of the results.
        pages: "flagged" shows the cases that are refused or to check alone; statistics.csv has all cases.
    """
    folder = existing(output)
    from uniseg_nets.quality.verdict import CHECK, REFUSED, WORDS
    from uniseg_nets.reports.merge import merge_runs

    record = merge_runs(folder, (REFUSED, CHECK) if pages == "flagged" else WORDS)
    failed = len(record["failed"])
    print(f"{record['processes']} processes, {record['cases']} cases, {failed} failed: {folder}/run.json")


def _from_anywhere(word: str) -> str:
    """An option of a command, with its existing paths made absolute, since jobs run in another folder."""
    name, _, value = word.removeprefix("--").partition("=")
    if name in _OF_THE_JOBS:
        raise ValueError(f"--options has --{name}, which each job gets by itself: leave it out")
    if name not in _PATHS:
        return word
    files = listed(value) if name == "weights" else [value]
    return f"--{name}={','.join(map(_absolute, files))}"


def _absolute(file: str) -> str:
    path = Path(file).expanduser()
    return str(path.absolute()) if path.exists() and file not in _NAMES else file


def _tasks_of_the_jobs(words: Sequence[str]) -> tuple[TaskTable, Any]:
    """The task table of the jobs, and their task or tasks.

    Refuses options with which every job would fail: no task or an unknown one; a plan, a bundle or weights that do not
    exist. Weights with an absolute path may exist on the machines of the jobs alone: the log warns.
    """
    from uniseg_nets.bundle.choose import ChosenInference
    from uniseg_nets.bundle.run import opened_bundle

    given = dict(word.removeprefix("--").split("=", 1) for word in words)
    values: dict[str, Any] = {"weights": listed(given["weights"])} if "weights" in given else {}
    if "task" in given:
        values["task"] = one_or_several(given["task"])
    if "tasks_file" in given:
        values["tasks_file"] = given["tasks_file"]
    for index, file in enumerate(values.get("weights", ())):
        if Path(file).is_absolute() and not Path(file).is_file():
            logger.warning("no weights at %s on this machine: the jobs fail if theirs have no such file", file)
            values["weights"][index] = weights_file(OPEN.name)  # for the other checks, which read no weights
    bundle, overlays = bundle_and_overlays(given.get("bundle"), given.get("plan"))
    with opened_bundle(bundle) as root:
        return ChosenInference(root, overlays, **values).tasks()


def workflow(folder: str, input: str, output: str, *, options: str = "", cases_per_job: int = 100) -> None:
    """Write a folder of scans as jobs for a scheduler: a Snakemake workflow, and a script for a Slurm array.

    Args:
        folder: for cases.json, config.yaml, Snakefile and array.sh.
        input: scans, as for `uniseg segment`.
        output: folder for the results, on a disk that all machines see.
        options: further words of `uniseg segment`, as --options="--task liver --report".
        cases_per_job: cases that a job does with a network that it loads once.
    """
    try:
        words = shlex.split(options)
    except ValueError as error:
        raise ValueError(f"options {options}: {error}") from error
    _, _, *words = spelled_out("segment", [input, output, *words], segment)
    options = shlex.join(map(_from_anywhere, words))
    scans = existing(input)
    tasks = _tasks_of_the_jobs(words)
    from uniseg_nets.workflow import write_workflow

    written = write_workflow(folder, scans, output, options, cases_per_job, *tasks)
    print(f"wrote {', '.join(map(str, written))}\nstart: cd {folder} && snakemake --cores 4, or sbatch array.sh")
