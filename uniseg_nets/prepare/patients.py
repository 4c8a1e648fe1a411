"""The names and patients of cases that are added to a datalist; no patient on two sides of a split."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from uniseg_nets.data.groups import group_of, patients_of, recognised_pattern, refuse_divided
from uniseg_nets.io.messages import listing
from uniseg_nets.prepare.datalist import Datalist
from uniseg_nets.prepare.find import Case
from uniseg_nets.prepare.origin import Origin, free_names, relative
from uniseg_nets.prepare.raw import RawCase
from uniseg_nets.prepare.sources import SAME_SCANS

__all__ = ["identities", "refuse_divided_patients"]

logger = logging.getLogger(__name__)


def identities(
    listed: Sequence[Case | RawCase],
    datalist: Datalist,
    *,
    origin: Origin,
    raw: Path,
    output: Path,
    pattern: str | None,
) -> tuple[dict[str, str], dict[str, str]]:
    """The name in the datalist, and the patient, of each case.

    Args:
        listed: the cases.
        datalist: the datalist that they are added to.
        origin: where they come from.
        raw: root folder of the data set, for messages.
        output: folder of the datalist.
        pattern: regular expression that finds the patient in a case's name; ``None`` for what is known otherwise.

    Raises:
        ValueError: the datalist has the same scans from another source, two cases have one name, or a name has no
            patient.
    """
    _refuse_same_scans(origin.source, datalist)
    names = _names([case.name for case in listed], datalist.there, raw, origin.task)
    return names, _patients(listed, names, pattern, origin.known_patients(datalist.there), output)


def _refuse_same_scans(source: str, datalist: Datalist) -> None:
    """Refuses a data set whose scans the datalist has under another source: a patient could be on both sides."""
    same = set().union(*(group for group in SAME_SCANS if source in group)) - {source}
    found = sorted(same & {str(entry.get("source")) for entry in datalist.there})
    if found:
        raise ValueError(
            f"{datalist.path} has cases of {', '.join(found)}, which are the scans of {source} under other names: a "
            "patient could be in both training and validation; keep one of the two, or prepare into another folder"
        )


def _names(names: Sequence[str], there: Sequence[Mapping[str, Any]], raw: Path, task: str) -> dict[str, str]:
    """The names of the cases in the datalist, different from those of existing entries."""
    twins = sorted({name for name in names if names.count(name) > 1})
    if twins:
        raise ValueError(f"{raw} holds several cases of one name: {listing(twins)}")
    free = free_names(names, {str(entry.get("name")) for entry in there}, (raw.resolve().name, task))
    changed = [f"{name} as {new}" for name, new in free.items() if new != name]
    if changed:
        logger.warning("other cases of the datalist have these names; renamed: %s", listing(changed))
    return free


def _patients(
    cases: Sequence[Case | RawCase],
    names: Mapping[str, str],
    pattern: str | None,
    known: Mapping[tuple[str, ...], str],
    output: Path,
) -> dict[str, str]:
    """The patient of each case: from the pattern, else from the data set or an entry with the same images.

    Where all of these are silent, usual names of patients are recognised.
    """
    if pattern is None and not known and all(case.patient is None for case in cases):
        pattern = recognised_pattern(list(names))
    if pattern is not None:
        return dict(zip(names, patients_of(list(names), pattern)))
    patients = {}
    for case in cases:
        images = tuple(relative(image, output) for image in case.images) if isinstance(case, Case) else ()
        patients[case.name] = case.patient or known.get(images, names[case.name])
    return patients


def refuse_divided_patients(
    sections: Mapping[str, Sequence[str]],
    patients: Mapping[str, str],
    datalist: Datalist,
    origin: Origin,
    where: str,
) -> None:
    """Refuses a split with a patient on both sides, including existing entries of the same data set."""
    new = [(name, patients[name], section) for section, members in sections.items() for name in members]
    sharing = [
        (entry, section)
        for section, entries in datalist.others.items()
        for entry in entries
        if origin.shares_patients(entry)
    ]
    old = [(str(entry["name"]), group_of(entry), section) for entry, section in sharing]
    folders = sorted({str(origin.folder_of(entry)) for entry, _ in sharing} - {str(origin.folder)})
    try:
        refuse_divided([*new, *old], where)
    except ValueError as error:
        if not folders:
            raise
        raise ValueError(
            f"{error}\nEqual names of patients in {origin.folder} and {listing(folders)} count as one person. If they "
            "are others, rename the cases of one folder (siteB_patient001) and give `--group` a pattern that has the "
            "new part (siteB_patient[0-9]+). If not, choose the sides with `--split`"
        ) from error
