"""Finds the cases that fail a strict run: those whose verdict is not ok, also from earlier runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from uniseg_nets.io.provenance import read_record
from uniseg_nets.quality.verdict import OK
from uniseg_nets.transforms.result import ResultSaver

__all__ = ["NO_VERDICT", "StrictReview"]

# Begins the reason of a case that was computed without a verdict.
NO_VERDICT = "no verdict"


class StrictReview:
    """After a strict run, a call returns the cases whose verdict is not ok: name -> verdict and reasons.

    Args:
        saver: gives the paths of the records.
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
            if record is None:
                continue
            if "verdict" not in record:
                reasons[case["name"]] = f"{NO_VERDICT}: it was computed without one; delete {path.name} and run again"
            elif record["verdict"] != OK:
                reasons[case["name"]] = f"{record['verdict']}: {' '.join(record['reasons'])}"
        return reasons
