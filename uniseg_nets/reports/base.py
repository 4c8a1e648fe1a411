"""The base class of reports on results in files: it runs the evaluator and selects the cases with a result."""

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

from uniseg_nets.engines import CaseEvaluator
from uniseg_nets.io.errors import CasesFailedError
from uniseg_nets.ranks import from_all_ranks, is_first_rank

__all__ = ["CaseReport"]

logger = logging.getLogger(__name__)


# The name of the metric in the training's validation too.
_MEAN_DICE = "val_mean_dice"


class CaseReport:
    """Compares predictions with references. Subclasses give a prediction's path and rows, and write the report.

    As a handler of the evaluator it sets the mean Dice as a metric, for experiment tracking and federations.

    Args:
        cases: labelled cases.
        results: folder of the predictions.
        output_dir: folder for the report.

    Attributes:
        faults: name -> reason of the cases that the last report leaves out.
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
        """Runs an evaluator that writes the predictions, then writes the report, also if some cases failed.

        Returns:
            The rows of the summary.

        Raises:
            ValueError: if there are no cases.
            CasesFailedError: if some cases have no prediction, see :class:`~uniseg_nets.engines.CaseEvaluator`, or
                cannot be compared. The report is on the others.
        """
        if not self.cases:
            raise ValueError("no cases to evaluate: the datalist's section is empty, or the fold has no held-out cases")
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
        """Writes the report, on the first rank when all are done; the others get its summary.

        Failed cases are left out: their files in the folder are from an earlier run.
        """
        failed = {name for failures in from_all_ranks(getattr(evaluator, "failures", {})) for name in failures}
        self.cases = [case for case in self.cases if case["name"] not in failed]
        summary = self.write() if is_first_rank() else []
        self.faults, summary = from_all_ranks((self.faults, summary))[0]
        return summary

    def write(self) -> list[dict[str, Any]]:
        """Writes the report on all cases that can be compared; returns the rows of the summary."""
        raise NotImplementedError

    def prediction(self, case: Mapping[str, Any]) -> Path:
        """The file of a case's prediction."""
        raise NotImplementedError

    def rows(self, case: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The metrics of a case, one row per class."""
        raise NotImplementedError

    def all_rows(self) -> list[dict[str, Any]]:
        """The rows of all cases whose prediction exists and can be compared. The others are logged.

        Raises:
            ValueError: if two cases share a prediction.
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
