"""What reports on results in files have in common: the run before them, and the cases that have a result."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Events

from uniseg_nets.engines import CaseEvaluator, CasesFailedError

__all__ = ["CaseReport"]

logger = logging.getLogger(__name__)


# The name that the training's validation gives to its figure too.
_MEAN_DICE = "val_mean_dice"


class CaseReport:
    """Compares results with references; subclasses say where a result lies, what its rows are, and write the report.

    As a handler of the evaluator it hands the mean Dice on as a metric, to experiment tracking and to federations.

    Args:
        cases: labelled cases.
        results: folder of what was found.
        output_dir: where to write.

    Attributes:
        faults: of the last report, name of a case that is left out -> reason.
    """

    def __init__(
        self, cases: Sequence[Mapping[str, Any]], results: str | PathLike[str], output_dir: str | PathLike[str]
    ) -> None:
        self.cases = cases
        self.results = Path(results).absolute()
        self.output_dir = Path(output_dir).absolute()
        self.faults: dict[str, str] = {}
        self._summary: list[dict[str, Any]] | None = None

    def attach(self, engine: CaseEvaluator) -> None:
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._hand_on)

    def _hand_on(self, engine: CaseEvaluator) -> None:
        self._summary = self._write(engine)
        scores = [row["dice"] for row in self._summary if not math.isnan(row["dice"])]
        if scores:
            engine.state.metrics[_MEAN_DICE] = float(np.mean(scores))

    def after(self, evaluator: CaseEvaluator) -> list[dict[str, Any]]:
        """Runs an evaluator that writes the results, then the report, also where some cases failed.

        Raises:
            ValueError: there are no cases.
            CasesFailedError: some cases had no result, see :class:`~uniseg_nets.engines.CaseEvaluator`, or cannot be
                compared; the report is on the others.
        """
        if not self.cases:
            raise ValueError("no cases to evaluate: the datalist's section is empty, or the fold holds none out")
        total = len(self.cases)
        failures: dict[str, str] = {}
        try:
            evaluator.run()
        except CasesFailedError as error:
            failures = error.failures
        finally:
            summary = self._write(evaluator) if self._summary is None else self._summary
        failures |= self.faults
        if failures:
            raise CasesFailedError(failures, total)
        return summary

    def _write(self, evaluator: CaseEvaluator) -> list[dict[str, Any]]:
        """The report without the cases that failed: what lies there of them was made by an earlier run."""
        self.cases = [case for case in self.cases if case["name"] not in getattr(evaluator, "failures", {})]
        return self.write()

    def write(self) -> list[dict[str, Any]]:
        """Writes the report on all cases that can be compared; returns the summary's rows."""
        raise NotImplementedError

    def prediction(self, case: Mapping[str, Any]) -> Path:
        """Where a case's result lies."""
        raise NotImplementedError

    def rows(self, case: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The figures of a case, one row a class."""
        raise NotImplementedError

    def all_rows(self) -> list[dict[str, Any]]:
        """The rows of all cases whose result is there and can be compared; the others are named in the log.

        Raises:
            ValueError: two cases with one result.
        """
        rows: list[dict[str, Any]] = []
        self.faults = {}
        twins = [str(file) for file, count in Counter(map(self.prediction, self.cases)).items() if count > 1]
        if twins:
            raise ValueError(f"several cases would be rated by the one result {twins[0]}: give them different names")
        for case in self.cases:
            if not self.prediction(case).is_file():
                logger.warning("no result %s: case left out of the report", self.prediction(case))
                continue
            try:
                rows += self.rows(case)
            except (ValueError, OSError) as error:
                self.faults[case["name"]] = str(error)
                logger.error("case %s left out of the report: %s", case["name"], error)
        if not rows:
            logger.error("no result in %s that can be compared: no report", self.results)
        return rows
