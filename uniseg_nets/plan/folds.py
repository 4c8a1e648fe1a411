"""The folds of a plan: drawn by patient, or given by the data set.

The one rule: no patient is in two folds.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from uniseg_nets.data.groups import (
    draw_folds,
    group_of,
    patients_of,
    recognised_pattern,
    refuse_divided,
)
from uniseg_nets.io.messages import listing
from uniseg_nets.io.paths import portable_path
from uniseg_nets.plan.layouts import DataSet

__all__ = ["by_patient", "planned_cases"]

logger = logging.getLogger(__name__)


def by_patient(data: DataSet, pattern: str | None) -> DataSet:
    """Adds the patient of each case as its ``group``, and checks the splits of the data set.

    Args:
        data: the cases, optionally with ``group``, ``fold`` and ``section`` of their datalist.
        pattern: regular expression that finds the patient in a case's name, instead of the datalist's ``group``.
            Without either, names such as ``sub-01_ses-2`` or ``patient001_frame01`` are recognised.

    Raises:
        ValueError: if a name has no patient, all cases are of one patient, folds are not whole numbers or only some
            cases have one, or a patient is in two folds, or in both training and validation.
    """
    cases = [dict(case) for case in data.cases]
    if pattern is None and not any("group" in case for case in cases):
        pattern = recognised_pattern([case["name"] for case in cases])
    if pattern is not None:
        for case, patient in zip(cases, patients_of([case["name"] for case in cases], pattern)):
            case["group"] = patient
    _refuse_one_patient(cases)
    if any("fold" in case for case in cases):
        _check_folds(data.root, cases)
    for key, words in (("fold", "fold {}"), ("section", "{}")):
        refuse_divided(
            ((case["name"], group_of(case), words.format(case[key])) for case in cases if key in case),
            f"the datalist in {data.root}",
        )
    return replace(data, cases=cases)


def planned_cases(data: DataSet, names: Collection[str], folds: int, seed: int) -> list[dict[str, Any]]:
    """The entries of a plan, with paths relative to the data set's root, a fold and, if needed, a group.

    Args:
        data: the cases, from :func:`by_patient`.
        names: names of the cases to include.
        folds: number of folds to draw, at most one per patient. Folds of the data set are used unchanged.
        seed: random seed.

    Raises:
        ValueError: if all cases are of one patient or of one fold: nothing is left to validate on.
    """
    cases = [case for case in data.cases if case["name"] in names]
    _refuse_one_patient(cases)
    groups = [group_of(case) for case in cases]
    if all("fold" in case for case in cases):
        numbers = [case["fold"] for case in cases]
        if len(set(numbers)) < 2:
            raise ValueError(f"{data.root}: all remaining cases are of fold {numbers[0]}: nothing to train on")
        logger.info("folds %s are those of the datalist", ", ".join(str(fold) for fold in sorted(set(numbers))))
    else:
        patients = len(set(groups))
        if folds > patients:
            logger.warning("%d folds of %d patients cannot be: one fold per patient, %d", folds, patients, patients)
        numbers = draw_folds(groups, min(folds, patients), seed)
    return [
        {
            "name": case["name"],
            "image": [portable_path(Path(file), data.root) for file in case["image"]],
            "label": portable_path(Path(case["label"]), data.root),
            **({"group": group} if group != case["name"] else {}),
            "fold": fold,
        }
        for case, group, fold in zip(cases, groups, numbers)
    ]


def _refuse_one_patient(cases: Sequence[Mapping[str, Any]]) -> None:
    patients = sorted({group_of(case) for case in cases})
    if len(patients) < 2:
        raise ValueError(
            f"there are {len(cases)} case(s) of {len(patients)} patient(s) ({listing(patients)}): one patient to train "
            "on and one to validate on are needed at least"
        )


def _check_folds(root: Path, cases: Sequence[Mapping[str, Any]]) -> None:
    without = [case["name"] for case in cases if "fold" not in case]
    if without:
        raise ValueError(
            f"the datalist in {root} gives a fold to {len(cases) - len(without)} of {len(cases)} cases and none to "
            f"{listing(without)}: give one to every labelled case, or to none"
        )
    wrong = [
        f"{case['name']} has {case['fold']!r}" for case in cases if type(case["fold"]) is not int or case["fold"] < 0
    ]
    if wrong:
        raise ValueError(f"the datalist in {root}: {listing(wrong)}: a fold is a whole number from 0 on")
