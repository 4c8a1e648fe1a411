"""The report of an evaluation of 2D masks: one row per image, and a summary per modality."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from uniseg_nets.image2d.load import check_sizes, read_mask
from uniseg_nets.io.files import write_csv
from uniseg_nets.reports.base import CaseReport
from uniseg_nets.reports.metrics import case_rows, summarise

__all__ = ["PictureReport"]

logger = logging.getLogger(__name__)


class PictureReport(CaseReport):
    """Compares masks with references; writes ``cases.csv`` and ``summary.csv``, distances in pixels.

    Args:
        cases: labelled images, each with ``name``, ``label`` and ``modality``.
        masks: folder of the predicted masks, ``NAME_mask.png``.
        output_dir: folder for the report.
        tolerance: tolerance of the normalised surface Dice in pixels.
    """

    def __init__(
        self,
        cases: Sequence[Mapping[str, Any]],
        masks: str | PathLike[str],
        output_dir: str | PathLike[str],
        tolerance: float = 2.0,
    ) -> None:
        super().__init__(cases, masks, output_dir)
        self.tolerance = tolerance

    def write(self) -> list[dict[str, Any]]:
        rows = self.all_rows()
        if not rows:
            return []
        summary = [_in_pixels(row) for row in summarise(rows)]
        write_csv(self.output_dir / "cases.csv", [_in_pixels(row) for row in rows])
        write_csv(self.output_dir / "summary.csv", summary)
        for row in summary:
            logger.info("%(modality)s: Dice %(dice).3f, NSD %(nsd).3f, %(cases)d images", row)
        return summary

    def prediction(self, case: Mapping[str, Any]) -> Path:
        return self.results / f"{case['name']}_mask.png"

    def rows(self, case: Mapping[str, Any]) -> list[dict[str, Any]]:
        prediction, reference = read_mask(self.prediction(case)), read_mask(case["label"])
        check_sizes(reference, case["label"], prediction, self.prediction(case))
        rows = case_rows(prediction, reference, (1.0, 1.0, 1.0), {1: "foreground"}, self.tolerance)
        return [{"task": case["modality"], "case": case["name"], **row} for row in rows]


def _in_pixels(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of metrics with the names for 2D: modality instead of task, pixels instead of mm."""
    names = {"task": "modality", "hd95_mm": "hd95_pixels"}
    left_out = ("class", "volume_ml", "reference_ml", "truncated")
    return {names.get(key, key): value for key, value in row.items() if key not in left_out}
