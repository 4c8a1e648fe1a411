"""Writes the files of a workflow: the list of cases, the settings, the Snakefile and the script of an array."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Sequence
from importlib.resources import files
from os import PathLike
from pathlib import Path
from string import Template
from typing import Any

from uniseg_nets.data.cases import find_cases
from uniseg_nets.io.files import atomic_path, write_json
from uniseg_nets.tasks import TaskTable

__all__ = ["write_workflow"]

_CASES, _SETTINGS, _SNAKEFILE, _ARRAY = "cases.json", "config.yaml", "Snakefile", "array.sh"


def write_workflow(
    folder: str | PathLike[str],
    scans: str | PathLike[str],
    output: str | PathLike[str],
    options: str,
    cases_per_job: int = 100,
    tasks: TaskTable | None = None,
    task: str | int | Sequence[str] = 0,
) -> list[Path]:
    """Writes ``cases.json``, ``config.yaml``, ``Snakefile`` and ``array.sh``; returns their paths.

    Scans are searched here and not in each job.

    Args:
        folder: for the four files.
        scans: see :func:`~uniseg_nets.data.cases.find_cases`.
        output: folder for the results.
        options: further words of `uniseg segment`, such as ``--task liver --report``.
        cases_per_job: cases that a job does with a network that it loads once.
        tasks: the task table of the network; of a datalist then only the cases of ``task`` are taken.
        task: the task or tasks that ``options`` name.

    Raises:
        FileNotFoundError: if there is no scan.
        ValueError: if one of the files is there already, ``cases_per_job`` is below 1, or a datalist has no case of the
            task.
    """
    folder, output = Path(folder).absolute(), Path(output).absolute()
    if cases_per_job < 1:
        raise ValueError(f"a job of {cases_per_job} cases: expected at least 1")
    names = _CASES, _SETTINGS, _SNAKEFILE, _ARRAY
    there = [str(folder / name) for name in names if (folder / name).exists()]
    if there:
        raise ValueError(f"{', '.join(there)} exists already: choose another folder, or move it away")
    cases = find_cases(scans, output, tasks, task)
    parts = math.ceil(len(cases) / cases_per_job)
    write_json(folder / _CASES, {"testing": cases})
    _write(folder / _SETTINGS, _settings(parts, output, options))
    package = files("uniseg_nets.workflow")
    _write(folder / _SNAKEFILE, (package / _SNAKEFILE).read_text(encoding="utf-8"))
    script = Template((package / _ARRAY).read_text(encoding="utf-8"))
    _write(folder / _ARRAY, script.substitute(parts=parts, output=shlex.quote(str(output)), options=options))
    return [folder / name for name in names]


def _settings(parts: int, output: Path, options: str) -> str:
    """``config.yaml``: values as JSON, which YAML includes."""
    settings: dict[str, tuple[Any, str]] = {
        "output": (str(output), "the results; absolute, and on a disk that all machines see"),
        "options": (options, "of `uniseg segment`"),
        "parts": (parts, "jobs"),
        "threads": (2, "cores of a job"),
        "mem_mb": (16000, "memory of a job"),
        "minutes": (1440, "after which the scheduler ends a job"),
        "retries": (3, "of a job that died"),
        "resources": ({}, 'further ones of the executor, such as {"gpu": 1} or {"slurm_partition": "gpu"}'),
    }
    return "".join(f"# {what}\n{name}: {json.dumps(value)}\n" for name, (value, what) in settings.items())


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
