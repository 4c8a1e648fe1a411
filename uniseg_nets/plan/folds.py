"""The folds of a plan: by patient, or those that the data set brings.

The one rule: no patient stands in two folds.
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
    guess_pattern,
    patients_of,
    refuse_divided,
    shared_beginnings,
)
from uniseg_nets.io.messages import listing
from uniseg_nets.io.paths import portable_path
from uniseg_nets.plan.layouts import DataSet

__all__ = ["by_patient", "planned_cases"]

logger = logging.getLogger(__name__)


def by_patient(data: DataSet, pattern: str | None) -> DataSet:
    """The data set with the patient of each case as its ``group``, its own divisions checked.

    Args:
        data: the cases; where their datalist says so with ``group``, ``fold`` and ``section``.
        pattern: regular expression that finds the patient in a case's name, in place of the datalist's ``group``;
            without either, names like ``sub-01_ses-2`` or ``patient001_frame01`` say who is who.

    Raises:
        ValueError: a name without a patient; cases of one patient only; folds that are no whole numbers or that only
            some cases have; a patient in two folds, or both for training and for validation.
    """
    cases = [dict(case) for case in data.cases]
    if pattern is None and not any("group" in case for case in cases):
        pattern = _guessed([case["name"] for case in cases])
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


def _guessed(names: Sequence[str]) -> str | None:
    """A usual pattern of patients that the names follow; says so, or that names look as if several were of one."""
    pattern = guess_pattern(names)
    if pattern is not None:
        logger.info("patients are told by %r in the case names; `--group` says otherwise", pattern)
        return pattern
    alike = shared_beginnings(names)
    if alike:
        examples = [" and ".join(members[:2]) for members in alike.values()]
        logger.warning(
            "each case counts as a patient, but some names are alike: %s. Are they of one patient? Then say by "
            "`--group` how to tell",
            listing(examples),
        )
    return None


def planned_cases(data: DataSet, kept: Collection[str], folds: int, seed: int) -> list[dict[str, Any]]:
    """The plan's entries: paths relative to the data set's root, each with its fold and, where there is one, its group.

    Args:
        data: the cases, as :func:`by_patient` gives them.
        kept: names of those to plan with.
        folds: how many to draw, at most one per patient; folds that the data set brings are taken as they are.
        seed: of the draw.

    Raises:
        ValueError: cases of one patient only, or of one fold only: nothing is left to validate on.
    """
    cases = [case for case in data.cases if case["name"] in kept]
    _refuse_one_patient(cases)
    groups = [group_of(case) for case in cases]
    if all("fold" in case for case in cases):
        numbers = [case["fold"] for case in cases]
        if len(set(numbers)) < 2:
            raise ValueError(f"{data.root}: all cases that are left are of fold {numbers[0]}: nothing to train on")
        logger.info("folds %s are those of the datalist", ", ".join(str(fold) for fold in sorted(set(numbers))))
    else:
        numbers = draw_folds(groups, min(folds, len(set(groups))), seed)
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
