"""Which cases are of one patient, and how cases are divided so that no patient stands on two sides.

A case without a group of its own is a group by itself. MONAI's ``partition_dataset`` and ``partition_dataset_classes``
divide single cases: neither keeps the cases of a patient together.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from uniseg_nets.io.messages import in_lines, listing

__all__ = ["draw_folds", "group_of", "guess_pattern", "hold_out", "patients_of", "refuse_divided", "shared_beginnings"]


_USUAL = (r"sub-[0-9A-Za-z]+", r"(?i:patient)[-_]?[0-9]+")


def group_of(case: Mapping[str, Any]) -> str:
    """The patient of a case: its ``group``, or where it has none its ``name``."""
    return str(case.get("group", case["name"]))


def patients_of(names: Sequence[str], pattern: str) -> list[str]:
    """The patient of each case, by its name.

    Args:
        names: of the cases.
        pattern: regular expression, searched in each name; its first group is the patient, or the whole match where it
            has no group.

    Raises:
        ValueError: no regular expression, or one that finds no patient in some name; the message has the names.
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
    """The usual way of naming patients that these case names follow and that puts several cases together, if any.

    Usual are ``sub-LABEL``, as in BIDS, and ``patient`` with a number.
    """
    for pattern in _USUAL:
        matches = [re.search(pattern, name) for name in names]
        if all(matches) and len({match[0] for match in matches if match}) < len(names):
            return pattern
    return None


def shared_beginnings(names: Sequence[str]) -> dict[str, list[str]]:
    """Case names that are alike but for their last part, such as ``p1_ED`` and ``p1_ES``: perhaps of one patient.

    A beginning that more than a third of the cases have, such as the data set's name, is none.
    """
    alike: dict[str, list[str]] = defaultdict(list)
    for name in names:
        beginning = re.match(r"(.+)[_\-.][^_\-.]+$", name)
        if beginning:
            alike[beginning[1]].append(name)
    return {key: found for key, found in alike.items() if 1 < len(found) <= len(names) / 3}


def draw_folds(groups: Sequence[str], folds: int, seed: int) -> list[int]:
    """A fold for each case, the same for all cases of a group.

    The groups are drawn in an order given by the seed; the largest are dealt first, each to the fold that has the
    fewest cases so far.

    Args:
        groups: of each case.
        folds: how many.
        seed: of the draw.

    Raises:
        ValueError: fewer than two folds, or fewer groups than folds.
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
    """Divides cases in two, all cases of a group on one side.

    The groups are drawn in an order given by the seed; a group that would exceed ``count`` is passed over. Where no
    group is that small, the smallest one is held.

    Args:
        groups: of each case.
        count: how many cases are wanted on the held side.
        seed: of the draw.

    Returns:
        indices of the cases that stay and of those held, each in the order drawn.
    """
    members = _members(groups)
    drawn = _drawn(members, seed)
    held: list[str] = []
    for group in drawn:
        if sum(len(members[name]) for name in held) + len(members[group]) <= count:
            held.append(group)
    if not held and count and len(members) > 1:
        held = [min(drawn, key=lambda name: len(members[name]))]
    kept = [group for group in drawn if group not in held]
    return [index for name in kept for index in members[name]], [index for name in held for index in members[name]]


def refuse_divided(cases: Iterable[tuple[str, str, str]], where: str) -> None:
    """Makes sure that every patient stands on one side only.

    Args:
        cases: name, patient and side of each, the side in words such as ``fold 2`` or ``training``.
        where: what divides them so, such as a file's name.

    Raises:
        ValueError: a patient on several sides; the message has the patients, their cases and the sides.
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
