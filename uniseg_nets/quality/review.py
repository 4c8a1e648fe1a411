"""What a strict run takes for a failure: cases whose verdict is not ok, those of earlier runs too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from uniseg_nets.io.provenance import read_record
from uniseg_nets.quality.verdict import OK
from uniseg_nets.transforms.result import ResultSaver

__all__ = ["StrictReview"]


class StrictReview:
    """Called after a run; gives the cases that need eyes, name -> verdict and reasons, where the run is strict.

    Args:
        saver: knows where a case's record lies.
        cases: the run's.
        strict: ``check`` counts as a failure.
    """

    def __init__(self, saver: ResultSaver, cases: Sequence[Mapping[str, Any]], strict: bool = False) -> None:
        self.saver = saver
        self.cases = cases
        self.strict = strict

    def __call__(self) -> dict[str, str]:
        reasons: dict[str, str] = {}
        for case in self.cases if self.strict else ():
            record = read_record(self.saver.targets(case)[1]) or {}
            if record.get("verdict", OK) != OK:
                reasons[case["name"]] = f"{record['verdict']}: {' '.join(record['reasons'])}"
        return reasons
