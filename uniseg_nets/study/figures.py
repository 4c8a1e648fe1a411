"""Reads the figures of an evaluation: one per case and class, grouped by patient."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path

import numpy as np

from uniseg_nets.io.files import read_csv

__all__ = [
    "METRICS",
    "Figures",
    "bootstrap_interval",
    "figures_of",
    "patient_means",
    "read_rows",
    "refuse_other_references",
]

# Columns of ``cases.csv`` that are figures -> whether higher is better.
METRICS: Mapping[str, bool] = {"dice": True, "nsd": True, "hd95_mm": False, "hd95_pixels": False}
# What such a figure may be, by whether higher is better.
_RANGES = {True: "a number from 0 to 1", False: "a finite number from 0 on"}
_SAMPLES = 10_000
_SAME = 0.01  # relative, and in ml: volumes are rounded

# (task, class) -> (patient, case) -> figure.
Figures = dict[tuple[str, str], dict[tuple[str, str], float]]


def read_rows(evaluation: str | PathLike[str]) -> list[dict[str, str]]:
    """The rows of an evaluation's ``cases.csv``.

    In rows of 2D images the modality is the task, and the class is ``foreground``.

    Args:
        evaluation: the file, or the folder of the evaluation.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file has no rows, or lacks a needed column.
    """
    path = Path(evaluation)
    path = path / "cases.csv" if path.is_dir() else path
    if not path.is_file():
        raise FileNotFoundError(f"no figures at {path}: expected the cases.csv of an evaluation, or its folder")
    rows = read_csv(path)
    if rows and "modality" in rows[0]:
        rows = [row | {"task": row["modality"], "class": "foreground"} for row in rows]
    missing = sorted({"task", "case", "class", "status", "dice", "nsd"} - set(rows[0] if rows else ()))
    if missing:
        raise ValueError(f"{path} has no column {', '.join(missing)}: expected the cases.csv of an evaluation")
    return rows


def figures_of(rows: Sequence[Mapping[str, str]], metric: str = "dice") -> Figures:
    """One figure per case and class, from the rows of :func:`read_rows`.

    A class that is absent from the prediction and the reference has no figure; a distance exists only if both have the
    class. A case without a patient counts as a patient of its own.

    Raises:
        ValueError: the metric is unknown or not in the rows, a figure is no number or out of range, or a case has two
            rows for a class.
    """
    if metric not in METRICS:
        raise ValueError(f"metric is {metric!r}, expected one of {', '.join(METRICS)}")
    if rows and metric not in rows[0]:
        has = [name for name in METRICS if name in rows[0]]
        raise ValueError(f"the evaluation has no {metric}, expected one of its {', '.join(has)}")
    figures: Figures = defaultdict(dict)
    for row in rows:
        try:
            value = float(row[metric] or "nan")
        except ValueError as error:
            raise ValueError(f"{metric} of case {row['case']} is {row[metric]!r}, expected a number") from error
        if math.isnan(value):
            continue
        if value < 0 or math.isinf(value) or (value > 1 and METRICS[metric]):
            raise ValueError(f"{metric} of case {row['case']} is {value:g}, expected {_RANGES[METRICS[metric]]}")
        own, case = figures[row["task"], row["class"]], row["case"]
        patient = row.get("patient") or case
        if (patient, case) in own:
            raise ValueError(f"case {case} has two rows for {row['class']}: expected one per case and class")
        own[patient, case] = value
    return dict(figures)


def refuse_other_references(first: Sequence[Mapping[str, str]], second: Sequence[Mapping[str, str]]) -> None:
    """Raises ValueError if two evaluations have a case and class in common whose references differ in volume.

    Args:
        first, second: rows of :func:`read_rows`.
    """
    volumes = [
        {
            (row["task"], row["case"], row["class"]): float(row["reference_ml"])
            for row in rows
            if row.get("reference_ml")
        }
        for rows in (first, second)
    ]
    for key in volumes[0].keys() & volumes[1].keys():
        one, two = (own[key] for own in volumes)
        if not math.isclose(one, two, rel_tol=_SAME, abs_tol=_SAME):
            raise ValueError(
                f"the evaluations have other references: {key[2]} of case {key[1]} has {one:g} and {two:g} ml. Compare "
                "evaluations against the same label maps"
            )


def patient_means(figures: Mapping[tuple[str, str], float]) -> np.ndarray:
    """The mean over the cases of each patient, since cases of one patient are not independent.

    Args:
        figures: (patient, case) -> figure.

    Returns:
        (patient,), in the order in which the patients first occur.
    """
    own: dict[str, list[float]] = defaultdict(list)
    for (patient, _), value in figures.items():
        own[patient].append(value)
    return np.array([np.mean(values) for values in own.values()])


def bootstrap_interval(values: Sequence[float] | np.ndarray, seed: int = 0) -> tuple[float, float]:
    """The 95 % bootstrap interval of a mean: percentile method, 10,000 samples drawn with replacement.

    Args:
        values: one per patient.
        seed: seed of the draws.

    Returns:
        The lower and the upper end.
    """
    values = np.asarray(values, dtype=float)
    drawn = np.random.default_rng(seed).integers(len(values), size=(_SAMPLES, len(values)))
    low, high = np.percentile(values[drawn].mean(axis=1), (2.5, 97.5))
    return float(low), float(high)
