"""Finds the cases that fail a strict run: finished ones whose verdict is not ok, also from earlier runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from uniseg_nets.io.provenance import read_record
from uniseg_nets.quality.verdict import OK
from uniseg_nets.transforms.result import ResultSaver

__all__ = ["StrictReview"]


class StrictReview:
    """After a strict run, a call returns the finished cases whose verdict is not ok: name -> verdict and reasons.

    Args:
        saver: gives the paths of the records, and which cases are finished.
        cases: cases of the run.
        strict: count ``check`` and ``refused`` as failures; otherwise a call returns nothing.
    """

    def __init__(self, saver: ResultSaver, cases: Sequence[Mapping[str, Any]], strict: bool = False) -> None:
        self.saver = saver
        self.cases = cases
        self.strict = strict

    def __call__(self) -> dict[str, str]:
        reasons: dict[str, str] = {}
        for case in self.cases if self.strict else ():
            path = self.saver.targets(case)[1]
            record = read_record(path)
            if record is None or record.get("verdict") == OK or not self.saver.is_finished(case):
                continue
            if "verdict" not in record:
                reasons[case["name"]] = f"no verdict: it was computed without one; delete {path.name} and run again"
            else:
                reasons[case["name"]] = f"{record['verdict']}: {' '.join(record['reasons'])}"
        return reasons
