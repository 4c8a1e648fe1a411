"""The report of an evaluation: one row per case and class, a summary per task, and a picture of the worst cases.

It reads label maps from files, which may be of this run, of an earlier one, or of another method.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from uniseg_nets.data.groups import group_of
from uniseg_nets.io.files import write_csv, write_json
from uniseg_nets.reports.base import CaseReport
from uniseg_nets.reports.metrics import file_rows, summarise
from uniseg_nets.reports.preview import PreviewRow, save_preview
from uniseg_nets.tasks import TaskTable

__all__ = ["Report"]

logger = logging.getLogger(__name__)


class Report(CaseReport):
    """Compares label maps with references; writes ``cases.csv``, ``cases.json``, ``summary.csv`` and ``worst.png``.

    Args:
        cases: labelled cases, each with ``name``, ``task``, ``image`` and ``label``.
        label_maps: folder of the predictions, ``TASK/NAME.nii.gz``.
        output_dir: folder for the report.
        tasks: the task table.
        values: label values in predictions and references: ``task`` for the task's own 1, 2, ..., ``global`` for those
            of the task table.
        tolerance_mm: tolerance of the normalised surface Dice in mm.
        worst: number of cases in the picture.
    """

    def __init__(
        self,
        cases: Sequence[Mapping[str, Any]],
        label_maps: str | PathLike[str],
        output_dir: str | PathLike[str],
        tasks: TaskTable,
        values: str = "task",
        tolerance_mm: float = 2.0,
        worst: int = 4,
    ) -> None:
        super().__init__(cases, label_maps, output_dir)
        self.tasks = tasks
        self.values = values
        self.tolerance_mm = tolerance_mm
        self.worst = worst

    def write(self) -> list[dict[str, Any]]:
        rows = self.all_rows()
        if not rows:
            return []
        summary = summarise(rows)
        write_csv(self.output_dir / "cases.csv", rows)
        write_csv(self.output_dir / "summary.csv", summary)
        write_json(self.output_dir / "cases.json", rows)
        self._picture(rows)
        for row in summary:
            logger.info(
                "%(task)s %(class)s, %(cases)d cases: Dice %(dice).3f, NSD %(nsd).3f, HD95 %(hd95_mm).1f mm over "
                "%(present)d cases, %(false_negative)d false negative, %(false_positive)d false positive",
                row,
            )
        return summary

    def prediction(self, case: Mapping[str, Any]) -> Path:
        return self.results / self.tasks.one(case["task"]).name / f"{case['name']}.nii.gz"

    def rows(self, case: Mapping[str, Any]) -> list[dict[str, Any]]:
        task = self.tasks.one(case["task"])
        classes = {value: name for value, name in self.tasks.label_names(task.name, self.values).items() if value}
        rows = file_rows(self.prediction(case), case["label"], classes, self.tolerance_mm)
        return [{"task": task.name, "case": case["name"], "patient": group_of(case), **row} for row in rows]

    def _picture(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Writes a picture of the cases with the lowest mean Dice."""
        scores: dict[tuple[str, str], list[float]] = {}
        for row in rows:
            if not math.isnan(row["dice"]):
                scores.setdefault((row["task"], row["case"]), []).append(row["dice"])
        worst = sorted(scores, key=lambda key: float(np.mean(scores[key])))[: self.worst]
        by_key = {(self.tasks.one(case["task"]).name, case["name"]): case for case in self.cases}
        pictures = []
        for key in worst:
            case = by_key[key]
            title = f"{key[1]}, {key[0]}: Dice {np.mean(scores[key]):.2f}"
            channels = self.tasks.one(case["task"]).channels
            pictures.append(PreviewRow(title, case["image"], case["label"], str(self.prediction(case)), channels))
        try:
            if pictures:
                save_preview(pictures, self.output_dir / "worst.png")
        except (ValueError, OSError) as error:
            logger.error("no picture of the worst cases: %s", error)
