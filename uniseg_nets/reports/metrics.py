"""Metrics of a prediction against its reference, per case and class, with a status per row.

Not MONAI's metric handlers, which average over batches and do not report why a value is missing. Surface distances are
those of :mod:`uniseg_nets.reports.surfaces`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from uniseg_nets.reports.surfaces import surface_distances
from uniseg_nets.transforms.grid import on_grid_of, touches_border, voxel_millilitres
from uniseg_nets.transforms.labels import load_label_map

__all__ = ["case_rows", "file_rows", "summarise"]

_NAN = float("nan")


def file_rows(
    prediction: str | PathLike[str],
    reference: str | PathLike[str],
    classes: Mapping[int, str],
    tolerance_mm: float = 2.0,
) -> list[dict[str, Any]]:
    """:func:`case_rows` of two files, which may store their axes in different order or direction.

    Args:
        prediction, reference: files of label maps.
        classes, tolerance_mm: as for :func:`case_rows`.

    Raises:
        FileNotFoundError, ValueError: as for :func:`case_rows`, or if a file cannot be read, has values that are not
            whole numbers from 0 to 255, or the voxels of the two are at different positions. The message names the
            file.
    """
    ours, theirs = load_label_map(prediction), load_label_map(reference)
    try:
        volume = on_grid_of(theirs.as_tensor()[0], theirs.affine, ours.shape[1:], ours.affine)
        edges = ours.affine.numpy()[:3, :3]
        return case_rows(ours.as_tensor()[0].numpy(), volume.numpy(), edges, classes, tolerance_mm)
    except ValueError as error:
        raise ValueError(f"reference {reference} of {prediction}: {error}") from error


def case_rows(
    prediction: NDArray[Any],
    reference: NDArray[Any],
    spacing: ArrayLike,
    classes: Mapping[int, str],
    tolerance_mm: float = 2.0,
) -> list[dict[str, Any]]:
    """One row per foreground class.

    ``status`` says which of the two maps has the class: ``present``, both; ``false_negative``, the reference alone
    (Dice and NSD are 0, HD95 is undefined); ``false_positive``, the prediction alone (the same figures); ``absent``,
    neither (no figures). ``truncated`` says that the reference touches the border of the scan, where distances are less
    meaningful.

    Args:
        prediction, reference: label maps (x, y, z) of equal shape.
        spacing: (x, y, z) mm; or (3, 3), whose columns are the voxel edges in mm, as in an affine.
        classes: label value -> name, without the background.
        tolerance_mm: tolerance of the normalised surface Dice (NSD) in mm.

    Raises:
        ValueError: if the shapes differ, a value in the reference belongs to no class, or no value in the prediction
            belongs to one though it is not empty.
    """
    if prediction.shape != reference.shape:
        raise ValueError(f"label map has size {prediction.shape}, its reference {reference.shape}")
    unknown = sorted(set(np.unique(reference).tolist()) - set(classes) - {0})
    if unknown:
        raise ValueError(f"reference holds values {unknown}, the task's classes are {dict(classes)}")
    predicted = set(np.unique(prediction).tolist()) - {0}
    if predicted and not predicted & set(classes):
        raise ValueError(f"label map holds values {sorted(predicted)}, the task's classes are {dict(classes)}")
    millilitres = voxel_millilitres(spacing)
    rows = []
    for value, name in classes.items():
        ours, theirs = prediction == value, reference == value
        rows.append(
            {
                "class": name,
                **_figures(ours, theirs, spacing, tolerance_mm),
                "volume_ml": float(ours.sum()) * millilitres,
                "reference_ml": float(theirs.sum()) * millilitres,
                "truncated": touches_border(reference, value),
            }
        )
    return rows


def summarise(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Mean metrics per task and class over the cases that have them, and the number of cases per status.

    HD95 is undefined for false negatives and false positives. Its mean is therefore over ``present`` cases only: read
    it together with the numbers of the others.
    """
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["task"], row["class"]), []).append(row)
    table = []
    for (task, name), members in groups.items():
        means = {}
        for figure in ("dice", "nsd", "hd95_mm"):
            values = [row[figure] for row in members if not np.isnan(row[figure])]
            means[figure] = float(np.mean(values)) if values else _NAN
        states = [row["status"] for row in members]
        counts = {state: states.count(state) for state in ("present", "false_negative", "false_positive", "absent")}
        table.append({"task": task, "class": name, "cases": len(members), **means, **counts})
    return table


def _figures(ours: NDArray[Any], theirs: NDArray[Any], spacing: ArrayLike, tolerance_mm: float) -> dict[str, Any]:
    if not theirs.any() and not ours.any():
        return {"status": "absent", "dice": _NAN, "nsd": _NAN, "hd95_mm": _NAN}
    if not theirs.any() or not ours.any():
        status = "false_negative" if theirs.any() else "false_positive"
        return {"status": status, "dice": 0.0, "nsd": 0.0, "hd95_mm": _NAN}
    distances = surface_distances(ours, theirs, spacing)
    return {
        "status": "present",
        "dice": 2 * int((ours & theirs).sum()) / (int(ours.sum()) + int(theirs.sum())),
        "nsd": distances.surface_dice(tolerance_mm),
        "hd95_mm": distances.hausdorff(0.95),
    }
