"""The split into training and validation cases: from a file, or drawn by patient."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from uniseg_nets.data.groups import hold_out
from uniseg_nets.io.files import read_json
from uniseg_nets.io.messages import listing

__all__ = ["SECTIONS", "draw_split", "read_split"]

logger = logging.getLogger(__name__)

SECTIONS = ("training", "validation")


def read_split(path: str | PathLike[str], names: Sequence[str]) -> dict[str, list[str]]:
    """The case names under ``training`` and ``validation`` of a JSON file. A warning names the cases of neither.

    Args:
        path: the file.
        names: names of the existing cases.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is not JSON, has other sections or no case, or a name is unknown or occurs more than
            once. The message names the file.
    """
    content = read_json(Path(path))
    _refuse_other_sections(content, path)
    sections = {section: [str(name) for name in content.get(section, [])] for section in SECTIONS}
    listed = [name for members in sections.values() for name in members]
    missing = sorted(set(listed) - set(names))
    if missing:
        raise ValueError(f"{path}: no case {listing(missing)}; there are {listing(names)}")
    twins = [name for name, count in Counter(listed).items() if count > 1]
    if twins:
        places = [f"{name} ({', '.join(s for s in SECTIONS for n in sections[s] if n == name)})" for name in twins]
        raise ValueError(f"{path}: {listing(places)} occur more than once: keep each case in one place")
    unnamed = sorted(set(names) - set(listed))
    if unnamed:
        logger.warning(
            "%s does not name %d of %d cases, left out: %s", path, len(unnamed), len(names), listing(unnamed)
        )
    return sections


def _refuse_other_sections(content: Mapping[str, Any], path: str | PathLike[str]) -> None:
    """Refuses a split that lacks a section and has others, such as ``val``, or whose sections are no lists."""
    missing = [section for section in SECTIONS if section not in content]
    others = [key for key in content if key not in SECTIONS]
    if missing and others:
        raise ValueError(
            f"{path} has {listing(others)} and lacks {' and '.join(missing)}: name the lists of cases "
            f"{' and '.join(SECTIONS)}, an empty list [] for none"
        )
    for section in SECTIONS:
        if not isinstance(content.get(section, []), list):
            raise ValueError(f"{path}: {section} is {content[section]!r}, expected a list of case names")
    if not any(content.get(section) for section in SECTIONS):
        raise ValueError(f"{path} names no case: expected lists of case names, {' and '.join(SECTIONS)}")


def draw_split(patients: Mapping[str, str], share: float, seed: int) -> dict[str, list[str]]:
    """Draws case names for ``training`` and ``validation``, sorted, with all cases of a patient in one of them.

    Args:
        patients: case name -> patient.
        share: fraction of the cases for validation.
        seed: random seed.
    """
    names = sorted(patients)
    sides = hold_out([patients[name] for name in names], round(len(names) * share), seed)
    return {section: sorted(names[index] for index in side) for section, side in zip(SECTIONS, sides)}
