"""Groups cases by patient, and splits them so that no patient is on two sides.

A case without a group is a group of its own. MONAI's ``partition_dataset`` and ``partition_dataset_classes`` split by
case: neither keeps the cases of a patient together.
"""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from uniseg_nets.io.messages import in_lines, listing

__all__ = [
    "draw_folds",
    "group_of",
    "guess_pattern",
    "hold_out",
    "patients_of",
    "recognised_pattern",
    "refuse_divided",
    "shared_beginnings",
]

logger = logging.getLogger(__name__)

_USUAL = (r"sub-[0-9A-Za-z]+", r"(?i:patient)[-_]?[0-9]+")


def group_of(case: Mapping[str, Any]) -> str:
    """The patient of a case: its ``group``, by default its ``name``."""
    return str(case.get("group", case["name"]))


def patients_of(names: Sequence[str], pattern: str) -> list[str]:
    """The patient of each case, from its name.

    Args:
        names: names of the cases.
        pattern: regular expression, searched in each name. The patient is its first group, or the whole match if it
            has no group.

    Raises:
        ValueError: if the pattern is not a regular expression, or matches not every name; the message has the names.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"--group is {pattern!r}, expected a regular expression: {error}") from error
    matches = [expression.search(name) for name in names]
    patients = [(match[1] if expression.groups else match[0]) if match else None for match in matches]
    nameless = [name for name, patient in zip(names, patients) if not patient]
    if nameless:
        raise ValueError(
            f"--group {pattern!r} finds no patient in {len(nameless)} of {len(names)} case names "
            f"({listing(nameless)}): change it so that it matches every name"
        )
    return [str(patient) for patient in patients]


def guess_pattern(names: Sequence[str]) -> str | None:
    """A common naming pattern of patients that all case names follow and that groups some of them, or ``None``.

    The patterns are ``sub-LABEL``, as in BIDS, and ``patient`` with a number.
    """
    for pattern in _USUAL:
        matches = [re.search(pattern, name) for name in names]
        if all(matches) and len({match[0] for match in matches if match}) < len(names):
            return pattern
    return None


def shared_beginnings(names: Sequence[str]) -> dict[str, list[str]]:
    """Case names that share all but their last part, such as ``p1_ED`` and ``p1_ES``: perhaps of one patient.

    A prefix of more than a third of the cases, such as the data set's name, is left out.
    """
    alike: dict[str, list[str]] = defaultdict(list)
    for name in names:
        beginning = re.match(r"(.+)[_\-.][^_\-.]+$", name)
        if beginning:
            alike[beginning[1]].append(name)
    return {prefix: members for prefix, members in alike.items() if 1 < len(members) <= len(names) / 3}


def recognised_pattern(names: Sequence[str]) -> str | None:
    """The pattern of :func:`guess_pattern`, logged; without one, names that are alike are named in a warning."""
    pattern = guess_pattern(names)
    if pattern is not None:
        logger.info("patients are recognised by %r in the case names; `--group` overrides this", pattern)
        return pattern
    alike = shared_beginnings(names)
    if alike:
        examples = [" and ".join(members[:2]) for members in alike.values()]
        logger.warning(
            "each case counts as a patient, but some names are alike: %s. If they are of one patient, give a pattern "
            "with `--group`",
            listing(examples),
        )
    return None


def draw_folds(groups: Sequence[str], folds: int, seed: int) -> list[int]:
    """Draws a fold per case, the same for all cases of a group.

    Groups are shuffled by the seed. The largest groups come first; each goes to the fold with the fewest cases.

    Args:
        groups: group of each case.
        folds: number of folds.
        seed: random seed.

    Raises:
        ValueError: if there are fewer than two folds, or fewer groups than folds.
    """
    members = _members(groups)
    if not 2 <= folds <= len(members):
        raise ValueError(f"{folds} folds of {len(members)} patients: expected at least 2, and a patient for each fold")
    sizes = [0] * folds
    fold_of = {}
    for group in sorted(_drawn(members, seed), key=lambda name: -len(members[name])):
        fold_of[group] = sizes.index(min(sizes))
        sizes[fold_of[group]] += len(members[group])
    return [fold_of[group] for group in groups]


def hold_out(groups: Sequence[str], count: int, seed: int) -> tuple[list[int], list[int]]:
    """Splits cases in two, with all cases of a group on one side.

    Groups are shuffled by the seed; a group that would exceed ``count`` is skipped. If every group is larger than
    ``count``, the smallest one is held out.

    Args:
        groups: group of each case.
        count: number of cases to hold out.
        seed: random seed.

    Returns:
        Indices of the remaining and of the held-out cases, each in the order drawn.
    """
    members = _members(groups)
    drawn = _drawn(members, seed)
    held: list[str] = []
    for group in drawn:
        if sum(len(members[name]) for name in held) + len(members[group]) <= count:
            held.append(group)
    if not held and count and len(members) > 1:
        held = [min(drawn, key=lambda name: len(members[name]))]
    rest = [group for group in drawn if group not in held]
    return [index for name in rest for index in members[name]], [index for name in held for index in members[name]]


def refuse_divided(cases: Iterable[tuple[str, str, str]], where: str) -> None:
    """Checks that every patient is on one side of a split.

    Args:
        cases: name, patient and side of each case, the side in words such as ``fold 2`` or ``training``.
        where: origin of the split, such as a file's name.

    Raises:
        ValueError: if a patient is on several sides; the message has the patients, their cases and the sides.
    """
    sides: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name, patient, side in cases:
        sides[patient][side].append(name)
    divided = [
        f"{patient}: " + ", ".join(f"{listing(names)} in {side}" for side, names in of_patient.items())
        for patient, of_patient in sides.items()
        if len(of_patient) > 1
    ]
    if divided:
        raise ValueError(
            f"{where} puts {len(divided)} patient(s) on several sides, where validation would be no test:\n"
            f"{in_lines(divided)}\nput all cases of a patient on one side"
        )


def _members(groups: Sequence[str]) -> dict[str, list[int]]:
    """The cases of each group, groups in the order in which they first appear."""
    members: dict[str, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(group, []).append(index)
    return members


def _drawn(members: Mapping[str, list[int]], seed: int) -> list[str]:
    names = list(members)
    return [names[index] for index in np.random.default_rng(seed).permutation(len(names))]
