"""Figures of an evaluation, read back: one per case and class, by patient."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path

import numpy as np

from uniseg_nets.io.files import read_csv

__all__ = ["METRICS", "Figures", "bootstrap_interval", "figures_of", "patient_means", "read_rows"]

# Columns of ``cases.csv`` that are figures, and whether more is better.
METRICS: Mapping[str, bool] = {"dice": True, "nsd": True, "hd95_mm": False}
_SAMPLES = 10_000

# (task, class) -> (patient, case) -> figure.
Figures = dict[tuple[str, str], dict[tuple[str, str], float]]


def read_rows(evaluation: str | PathLike[str]) -> list[dict[str, str]]:
    """The rows of an evaluation's ``cases.csv``.

    Args:
        evaluation: the file, or the folder of the evaluation.

    Raises:
        FileNotFoundError: there is none.
        ValueError: a file without rows or without a column that is needed.
    """
    path = Path(evaluation)
    path = path / "cases.csv" if path.is_dir() else path
    if not path.is_file():
        raise FileNotFoundError(f"no figures at {path}: expected the cases.csv of an evaluation, or its folder")
    rows = read_csv(path)
    missing = sorted({"task", "case", "class", "status", *METRICS} - set(rows[0] if rows else ()))
    if missing:
        raise ValueError(f"{path} has no column {', '.join(missing)}: expected the cases.csv of an evaluation")
    return rows


def figures_of(rows: Sequence[Mapping[str, str]], metric: str = "dice") -> Figures:
    """One figure of every case and class that has it, from the rows of :func:`read_rows`.

    A class that is neither in the prediction nor in the reference has none, and a distance exists only where both are.
    A case without a patient is a patient of its own.

    Raises:
        ValueError: no such metric.
    """
    if metric not in METRICS:
        raise ValueError(f"metric is {metric!r}, expected one of {', '.join(METRICS)}")
    figures: Figures = defaultdict(dict)
    for row in rows:
        value = float(row[metric] or "nan")
        if not math.isnan(value):
            case = row["case"]
            figures[row["task"], row["class"]][row.get("patient") or case, case] = value
    return dict(figures)


def patient_means(figures: Mapping[tuple[str, str], float]) -> np.ndarray:
    """The mean over each patient's cases: cases of one patient are not independent."""
    own: dict[str, list[float]] = defaultdict(list)
    for (patient, _), value in figures.items():
        own[patient].append(value)
    return np.array([np.mean(values) for values in own.values()])


def bootstrap_interval(values: Sequence[float] | np.ndarray, seed: int = 0) -> tuple[float, float]:
    """95 % of the means of samples drawn with replacement (10,000, percentile method), one value per patient."""
    values = np.asarray(values, dtype=float)
    drawn = np.random.default_rng(seed).integers(len(values), size=(_SAMPLES, len(values)))
    low, high = np.percentile(values[drawn].mean(axis=1), (2.5, 97.5))
    return float(low), float(high)
