"""The cases of a plan, divided by cross-validation fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from uniseg_nets.data.datalist import image_files
from uniseg_nets.data.groups import group_of, refuse_divided

__all__ = ["fold_cases"]


def fold_cases(
    data: Sequence[Mapping[str, Any]] | None,
    base_dir: str | PathLike[str],
    task: str,
    fold: int | str,
    validation: bool = False,
) -> list[dict[str, Any]]:
    """The cases to train on, those of all other folds, or to validate on, those of the fold itself.

    Args:
        data: a plan's cases, each with ``name``, ``image``, ``label``, ``fold`` and, where it is not alone of its
            patient, ``group``.
        base_dir: what relative paths start from.
        task: the plan's task, given to every case.
        fold: held out for validation; ``all`` holds none out, as nnU-Net calls it.
        validation: give the fold itself.

    Raises:
        ValueError: no plan, no such fold, or a patient in several folds, as after an edit by hand.
    """
    if not data:
        raise ValueError("no cases: make a plan with `uniseg plan DATA --out plan.json` and lay it over this config")
    folds = sorted({case["fold"] for case in data})
    if fold not in (*folds, "all"):
        raise ValueError(f"fold {fold} does not exist: the plan has folds {folds}, and all, which holds no case out")
    refuse_divided(((case["name"], group_of(case), f"fold {case['fold']}") for case in data), "the plan")
    base = Path(base_dir)
    return [
        {
            "name": case["name"],
            "image": [str(base / file) for file in image_files(case)],
            "label": str(base / case["label"]),
            "task": task,
        }
        for case in data
        if (case["fold"] == fold) == validation
    ]
