"""The verbs of the ``uniseg`` command for more scans than one process does."""

from __future__ import annotations

from typing import Literal

from uniseg_nets.cli.values import existing
from uniseg_nets.quality.verdict import CHECK, OK, REFUSED

__all__ = ["merge"]


def merge(output: str, *, pages: Literal["all", "flagged"] = "all") -> None:
    """Make one record and one report of all processes that segmented into a folder.

    Writes run.json and failures.json; and, of what --report left, statistics.csv, pages of 50 cases and report.html.

    Args:
        output: the folder of the results.
        pages: "flagged" makes pages of refused cases and of those to check alone; statistics.csv has all cases.
    """
    folder = existing(output)
    from uniseg_nets.reports.merge import merge_runs

    record = merge_runs(folder, (REFUSED, CHECK) if pages == "flagged" else (REFUSED, CHECK, OK))
    failed = len(record["failed"])
    print(f"{record['processes']} processes, {record['cases']} cases, {failed} failed: {folder}/run.json")
