"""One record and one report of all processes that wrote into a folder of results."""

from __future__ import annotations

import json
import logging
from collections.abc import Container, Iterator
from os import PathLike
from pathlib import Path
from typing import Any

from uniseg_nets.handlers.run_log import LOG_FOLDER, refuse_others, write_failures
from uniseg_nets.io.files import write_json
from uniseg_nets.io.names import REPORT_PAGES, RUN_TABLES
from uniseg_nets.quality.verdict import WORDS
from uniseg_nets.reports.run import write_report

__all__ = ["merge_runs", "read_log"]

logger = logging.getLogger(__name__)


def merge_runs(folder: str | PathLike[str], verdicts: Container[str] = WORDS) -> dict[str, Any]:
    """Writes ``run.json`` and ``failures.json`` from the logs of all processes, and the report on all cases.

    Of a case that was done more than once the last line counts. The report is made of what ``--report`` wrote for each
    case, see :func:`~uniseg_nets.reports.run.write_report`.

    Args:
        folder: folder of the results.
        verdicts: which cases the pages of the report show.

    Returns:
        What ``run.json`` says.

    Raises:
        FileNotFoundError: if the folder has no log, or no case in it.
        ValueError: if it has files of the names to write that this package did not write.
    """
    folder = Path(folder)
    logs = sorted((folder / LOG_FOLDER).glob("*.jsonl"))
    if not logs:
        raise FileNotFoundError(f"no log {folder / LOG_FOLDER}/*.jsonl: expected the output folder of `uniseg segment`")
    refuse_others(folder, (*RUN_TABLES, *REPORT_PAGES))
    processes: list[dict[str, Any]] = []
    cases: dict[str, dict[str, Any]] = {}
    for log in logs:
        for line in read_log(log):
            if "case" not in line:
                processes.append(line)
            elif line["case"] not in cases or cases[line["case"]]["written"] <= line["written"]:
                cases[line["case"]] = _since(cases.get(line["case"], {}), line)
    if not cases:
        raise FileNotFoundError(f"no case is done in {folder / LOG_FOLDER}: run `uniseg segment` again")
    record = _summary(processes, cases)
    write_json(folder / "run.json", record)
    write_failures(folder / "failures.json", record["failed"])
    write_report(folder, verdicts)
    return record


def _since(earlier: dict[str, Any], line: dict[str, Any]) -> dict[str, Any]:
    """A case's line; one on an export alone leaves the seconds and the verdict of the prediction."""
    kept = ("seconds", "verdict") if "exported" in line else ()
    return {key: earlier[key] for key in kept if key in earlier} | line


def read_log(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a log. Half a line at its end, of a process that was killed, is left out."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):
                yield json.loads(line)
            else:
                logger.warning("%s ends with half a line: its process was killed", path)


def _summary(processes: list[dict[str, Any]], cases: dict[str, dict[str, Any]]) -> dict[str, Any]:
    processes = sorted(processes, key=lambda process: process["started"])
    return {
        "started": processes[0]["started"],
        "written": max(case["written"] for case in cases.values()),
        "processes": len(processes),
        "cases": len(cases),
        "seconds_per_case": {name: case["seconds"] for name, case in cases.items() if "seconds" in case},
        "verdicts": {name: case["verdict"] for name, case in cases.items() if "verdict" in case},
        "failed": {name: case["failed"] for name, case in cases.items() if "failed" in case},
        "failed_with_label_map": [name for name, case in cases.items() if "label_map" in case],
        "provenance": processes[-1]["provenance"],
    }
