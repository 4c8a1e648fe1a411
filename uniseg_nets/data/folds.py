"""The cases of a plan by cross-validation fold."""

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
    """The training cases, those of all other folds, or the validation cases, those of the fold itself.

    Args:
        data: cases of a plan, each with ``name``, ``image``, ``label``, ``fold`` and, if its patient has several
            cases, ``group``.
        base_dir: folder of relative paths.
        task: task of the plan, set on every case.
        fold: fold for validation. ``all`` is nnU-Net's name for no validation fold.
        validation: give the validation cases.

    Raises:
        ValueError: if there is no plan or no such fold, or a patient is in several folds, as after an edit by hand.
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
            **({"group": case["group"]} if "group" in case else {}),
        }
        for case in data
        if (case["fold"] == fold) == validation
    ]
