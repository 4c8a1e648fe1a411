"""One record and one report of all processes that wrote into a folder of results."""

from __future__ import annotations

from collections.abc import Container
from os import PathLike
from pathlib import Path
from typing import Any

from uniseg_nets.handlers.logs import LOG_FOLDER, read_logs
from uniseg_nets.handlers.run_log import refuse_others, write_failures
from uniseg_nets.io.files import write_json
from uniseg_nets.io.names import REPORT_PAGES, RUN_TABLES
from uniseg_nets.quality.verdict import WORDS
from uniseg_nets.reports.run import write_report

__all__ = ["merge_runs"]


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
        ValueError: if it has files of the names to write that this package did not write, or a log is damaged.
    """
    folder = Path(folder)
    if not any((folder / LOG_FOLDER).glob("*.jsonl")):
        raise FileNotFoundError(f"no log {folder / LOG_FOLDER}/*.jsonl: expected the output folder of `uniseg segment`")
    refuse_others(folder, (*RUN_TABLES, *REPORT_PAGES))
    processes, cases = read_logs(folder)
    if not cases:
        raise FileNotFoundError(f"no case is done in {folder / LOG_FOLDER}: run `uniseg segment` again")
    record = _summary(processes, cases)
    write_json(folder / "run.json", record)
    write_failures(folder / "failures.json", record["failed"])
    write_report(folder, verdicts)
    return record


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
