"""The verbs of the ``uniseg`` command for studies on labelled data."""

from __future__ import annotations

import signal
import sys
from typing import Literal

from uniseg_nets.cli.values import existing_file, listed, new_folder, whole_numbers

__all__ = ["compare", "cv"]


def cv(plan: str, data: str, output: str = "cv", *, folds: str | None = None, overlays: str | None = None) -> None:
    """Cross-validate a fine-tuning: train and evaluate every fold, then print one table of all held-out cases.

    The same command continues a cross-validation that was stopped.

    Args:
        plan: file of `uniseg plan`.
        data: folder of the data set of the plan.
        output: folder; it gets one folder per fold, and cases.csv with the figures of all.
        folds: numbers of the folds, as "0,2"; by default all folds of the plan.
        overlays: configs merged over the plan, as "small.json,mine.json": names of configs of uniseg_finetune, or
            paths.
    """
    plan = existing_file(plan, "PLAN, a file of `uniseg plan`; the order is PLAN DATA OUTPUT")
    chosen = None if folds is None else whole_numbers(folds, "--folds")
    new_folder(output)
    # An ended `cv` ends its training too, which would else go on beside that of the next call.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    from uniseg_nets.study.cross_validation import cross_validate, pooled_table

    cases = cross_validate(plan, data, output, chosen, [] if overlays is None else listed(overlays))
    print(f"{pooled_table(cases)}\nwrote {cases}")


def compare(
    first: str,
    second: str,
    *,
    metric: Literal["dice", "nsd", "hd95_mm", "hd95_pixels"] = "dice",
    output: str | None = None,
) -> None:
    """Compare two evaluations of the same cases, case by case: differences, intervals, Wilcoxon's test with Holm's p.

    Args:
        first: an evaluation's folder, or its cases.csv.
        second: the other one's; differences are second minus first.
        metric: the figure to compare; hd95_pixels is for 2D images.
        output: folder for comparison.csv and comparison.png; by default neither is written.
    """
    if output is not None:
        new_folder(output, "--output")
    from uniseg_nets.study.compare import as_markdown
    from uniseg_nets.study.compare import compare as compare_evaluations

    print(as_markdown(compare_evaluations(first, second, metric, output)))
