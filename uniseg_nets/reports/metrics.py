"""Per-case figures of a label map against a reference, with the special cases told apart.

Not MONAI's metric handlers, which mean over batches and drop why a figure is missing. The figures themselves are
MONAI's: Dice, 95th percentile Hausdorff distance (HD95), normalised surface Dice (NSD, by areas of surface elements).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.metrics import compute_dice, compute_hausdorff_distance, compute_surface_dice
from numpy.typing import NDArray

from uniseg_nets.reports.statistics import touches_border

__all__ = ["case_rows", "summarise"]

_NAN = float("nan")


def case_rows(
    found: NDArray[Any],
    reference: NDArray[Any],
    spacing: Sequence[float],
    classes: Mapping[int, str],
    tolerance_mm: float = 2.0,
) -> list[dict[str, Any]]:
    """One row a foreground class.

    ``status`` says what the figures stand for: ``present`` in both; ``missed``, in the reference alone (Dice and NSD 0,
    no HD95); ``invented``, in the found map alone (the same); ``absent`` from both (no figure: nothing was asked).
    ``cut`` says that the reference touches the border of the scan, where distances mean less.

    Args:
        found, reference: label maps (x, y, z) of equal shape.
        spacing: (x, y, z) mm.
        classes: label value -> name, without the background.
        tolerance_mm: surface distance that NSD forgives.

    Raises:
        ValueError: maps of different shapes, or a value in the reference that no class has.
    """
    if found.shape != reference.shape:
        raise ValueError(f"label map has size {found.shape}, its reference {reference.shape}")
    unknown = sorted(set(np.unique(reference).tolist()) - set(classes) - {0})
    if unknown:
        raise ValueError(f"reference holds values {unknown}, the task's classes are {dict(classes)}")
    millilitres = float(np.prod(spacing)) / 1000
    rows = []
    for value, name in classes.items():
        ours, theirs = found == value, reference == value
        rows.append(
            {
                "class": name,
                **_figures(ours, theirs, spacing, tolerance_mm),
                "volume_ml": float(ours.sum()) * millilitres,
                "reference_ml": float(theirs.sum()) * millilitres,
                "cut": touches_border(theirs),
            }
        )
    return rows


def summarise(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Mean figures of each task and class over the cases that have them, and how often each status came.

    A missed or invented class has no HD95, so that its mean is over ``present`` cases alone: read ``missed`` beside it.
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
        counts = {state: states.count(state) for state in ("present", "missed", "invented", "absent")}
        table.append({"task": task, "class": name, "cases": len(members), **means, **counts})
    return table


def _figures(ours: NDArray[Any], theirs: NDArray[Any], spacing: Sequence[float], tolerance_mm: float) -> dict[str, Any]:
    if not theirs.any() and not ours.any():
        return {"status": "absent", "dice": _NAN, "nsd": _NAN, "hd95_mm": _NAN}
    if not theirs.any() or not ours.any():
        return {"status": "missed" if theirs.any() else "invented", "dice": 0.0, "nsd": 0.0, "hd95_mm": _NAN}
    box = _box(ours | theirs)
    a, b = (torch.from_numpy(np.pad(mask[box], 1).astype(np.uint8))[None, None] for mask in (ours, theirs))
    options: dict[str, Any] = {"include_background": True, "spacing": [float(mm) for mm in spacing]}
    return {
        "status": "present",
        "dice": compute_dice(a, b).item(),
        "nsd": compute_surface_dice(a, b, [tolerance_mm], use_subvoxels=True, **options).item(),
        "hd95_mm": compute_hausdorff_distance(a, b, percentile=95, **options).item(),
    }


def _box(mask: NDArray[Any]) -> tuple[slice, ...]:
    """The smallest box around the true voxels."""
    lines = [np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis))) for axis in range(3)]
    return tuple(slice(line[0], line[-1] + 1) for line in lines)
