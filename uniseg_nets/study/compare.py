"""Compares two evaluations of the same cases, pair by pair.

Each class gets the mean difference over patients with its bootstrap interval, and the p value of Wilcoxon's signed-rank
test, adjusted over all classes by Holm's method (Holm, Scand. J. Statist. 1979).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from os import PathLike
from pathlib import Path

import numpy as np
from scipy import stats

from uniseg_nets.io.files import write_csv
from uniseg_nets.study.figures import (
    METRICS,
    Figures,
    bootstrap_interval,
    figures_of,
    patient_means,
    read_rows,
    refuse_other_references,
)

__all__ = ["Comparison", "as_markdown", "compare", "holm"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Comparison:
    """The figures of one class of one task from two evaluations.

    Attributes:
        task, name: the task and the class.
        patients, cases: number of patients and of cases that both evaluations have.
        first, second: mean over patients.
        difference: second minus first; ``low`` and ``high`` are its 95 % interval.
        better, worse: number of patients for whom the second is better or worse.
        p: p value of Wilcoxon's test, which leaves patients without a difference out; ``p_holm`` is adjusted over all
            classes.
    """

    task: str
    name: str
    patients: int
    cases: int
    first: float
    second: float
    difference: float
    low: float
    high: float
    better: int
    worse: int
    p: float
    p_holm: float


def compare(
    first: str | PathLike[str],
    second: str | PathLike[str],
    metric: str = "dice",
    output_dir: str | PathLike[str] | None = None,
) -> list[Comparison]:
    """Compares two evaluations.

    Args:
        first, second: folders of evaluations, or their ``cases.csv``.
        metric: ``dice``, ``nsd``, ``hd95_mm``, or of 2D images ``hd95_pixels``.
        output_dir: folder for ``comparison.csv`` and, if matplotlib is installed, ``comparison.png``.

    Returns:
        One comparison per class that both evaluations have.

    Raises:
        FileNotFoundError, ValueError: as for :func:`~uniseg_nets.study.figures.read_rows`; or if the metric is unknown,
            the evaluations have no case in common, or other references.
    """
    rows_of_both = [read_rows(evaluation) for evaluation in (first, second)]
    refuse_other_references(*rows_of_both)
    one, two = _of_one_division(*(figures_of(rows, metric) for rows in rows_of_both))
    pairs = {key: sorted(one[key].keys() & two[key].keys()) for key in one if key in two}
    pairs = {key: cases for key, cases in pairs.items() if cases}
    if not pairs:
        raise ValueError(f"{first} and {second} have no case and class in common that has {metric}")
    unpaired = sum(len(own) for figures in (one, two) for own in figures.values()) - 2 * sum(map(len, pairs.values()))
    if unpaired:
        logger.warning("%d figures have no partner in the other evaluation and are left out", unpaired)
    sign = 1 if METRICS[metric] else -1
    rows: list[Comparison] = []
    differences: list[np.ndarray] = []
    for (task, name), cases in pairs.items():
        a, b = (patient_means({case: figures[task, name][case] for case in cases}) for figures in (one, two))
        difference = b - a
        differences.append(difference)
        low, high = bootstrap_interval(difference)
        better, worse = (int((sign * way * difference > 0).sum()) for way in (1, -1))
        p = float(stats.wilcoxon(difference).pvalue) if difference.any() else 1.0
        first_mean, second_mean, mean = (float(values.mean()) for values in (a, b, difference))
        counts = (len(difference), len(cases))
        rows.append(Comparison(task, name, *counts, first_mean, second_mean, mean, low, high, better, worse, p, p))
    adjusted = holm([row.p for row in rows])
    rows = [replace(row, p_holm=p) for row, p in zip(rows, adjusted)]
    if output_dir is not None:
        folder = Path(output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        small = ("p", "p_holm")  # as text: a table's numbers have four digits after the point
        write_csv(
            folder / "comparison.csv",
            [asdict(row) | {key: f"{getattr(row, key):.4g}" for key in small} for row in rows],
        )
        _plot(rows, differences, metric, folder / "comparison.png")
    return rows


def _of_one_division(one: Figures, two: Figures) -> tuple[Figures, Figures]:
    """Both with the same patient of each case, also where one evaluation is older and does not know the patients."""
    known = {
        (task, case): patient
        for figures in (one, two)
        for (task, _), own in figures.items()
        for patient, case in own
        if patient != case
    }
    one, two = (
        {
            (task, name): {(known.get((task, case), patient), case): value for (patient, case), value in own.items()}
            for (task, name), own in figures.items()
        }
        for figures in (one, two)
    )
    return one, two


def holm(values: Sequence[float]) -> list[float]:
    """The p values, adjusted for their number by Holm's step-down method, in the given order."""
    order = np.argsort(values)
    factors = len(values) - np.arange(len(values))
    adjusted = np.minimum(np.maximum.accumulate(np.asarray(values)[order] * factors), 1.0)
    result = np.empty(len(values))
    result[order] = adjusted
    return [float(p) for p in result]


def as_markdown(rows: Sequence[Comparison], names: tuple[str, str] = ("A", "B")) -> str:
    """The comparison as a Markdown table, with a note on classes with too few differences for a test.

    Args:
        rows: one per class.
        names: the names of the two evaluations for the table's head.
    """
    a, b = names
    lines = [
        f"| task | class | patients (cases) | {a} | {b} | {b} - {a} | 95 % | better / worse | p | p (Holm) |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row.task} | {row.name} | {row.patients} ({row.cases}) | {row.first:.3f} | {row.second:.3f} | "
            f"{row.difference:+.3f} | {_interval(row)} | {row.better} / {row.worse} | "
            f"{row.p:.3g} | {row.p_holm:.3g} |"
        )
    few = [f"{row.task} {row.name}" for row in rows if row.better + row.worse < 6]
    if few:
        lines.append(f"\nFewer than 6 patients with a difference cannot reach p < 0.05: {', '.join(few)}.")
    return "\n".join(lines)


def _interval(row: Comparison) -> str:
    return f"{row.low:+.3f} to {row.high:+.3f}" if row.patients > 1 else "-"


def _plot(rows: Sequence[Comparison], differences: Sequence[np.ndarray], metric: str, path: Path) -> None:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        logger.info("no %s: it needs `pip install matplotlib`", path.name)
        return
    figure = Figure(figsize=(8, 0.5 * len(rows) + 1.2), layout="constrained")
    axes = figure.subplots()
    rng = np.random.default_rng(0)
    for height, (row, values) in enumerate(zip(rows, differences)):
        axes.scatter(values, height + rng.uniform(-0.15, 0.15, len(values)), s=12, alpha=0.6)
        axes.hlines(height, row.low, row.high, colors="black")
        axes.plot(row.difference, height, "k|", markersize=14)
    axes.axvline(0, color="grey", linewidth=0.8)
    axes.set_yticks(range(len(rows)), [f"{row.task} {row.name}" for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel(f"difference of {metric} per patient, second minus first; bar: mean, line: 95 % interval")
    figure.savefig(path, dpi=120)
