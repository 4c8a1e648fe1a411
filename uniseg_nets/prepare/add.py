"""Adds a data set, as it was downloaded, to a datalist.

The one rule: the datalist is written after everything has been checked, and scans are named where they lie, not copied.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from tqdm import tqdm

from uniseg_nets.data.datalist import read_json
from uniseg_nets.data.groups import group_of, patients_of, refuse_divided
from uniseg_nets.io.files import write_json
from uniseg_nets.io.messages import in_lines, listing
from uniseg_nets.prepare.check import has_foreground, label_of_task
from uniseg_nets.prepare.converters import CONVERTERS, Converter
from uniseg_nets.prepare.download import download_decathlon
from uniseg_nets.prepare.find import Case, find_labelled, nnunet_source, nnunet_values
from uniseg_nets.prepare.origin import NNUNET, Origin, free_names, relative
from uniseg_nets.prepare.raw import RawCase, case_under, write_case
from uniseg_nets.prepare.sources import SOURCES, Source
from uniseg_nets.prepare.split import SECTIONS, draw_split, read_split
from uniseg_nets.tasks import Task, TaskTable, shipped_table

__all__ = ["prepare"]

logger = logging.getLogger(__name__)


def prepare(
    name: str,
    raw: str | PathLike[str],
    output: str | PathLike[str],
    tasks: TaskTable | None = None,
    task: str | None = None,
    split: str | PathLike[str] | None = None,
    validation_share: float = 0.2,
    seed: int = 0,
    group: str | None = None,
    download: bool = False,
) -> Path:
    """Adds a data set to ``output/datalist.json``; its earlier entries are replaced, those of other data stay.

    Labels whose values differ from the task's are rewritten under ``output/labels/TASK``; data that are no NIfTI files
    are converted to ``output/images/TASK`` and ``output/labels/TASK``, those that are there already are not converted
    again. All cases of a patient stand on one side of the split.

    Args:
        name: a key of :data:`SOURCES` or :data:`CONVERTERS`, or ``nnunet`` for a folder with ``imagesTr``, ``labelsTr``
            and ``dataset.json``.
        raw: the data set's root.
        output: folder of the datalist.
        tasks: the task table; that of this distribution which has the task by default.
        task: what the cases are to train, for ``nnunet`` and the data of fine-tuning.
        split: JSON with lists of case names under ``training`` and ``validation``, such as an official split.
        validation_share: without ``split``, the share of cases drawn for validation, by patient.
        seed: of that draw.
        group: regular expression that finds the patient in a case's name, in place of what is known of the data set.
        download: fetch the data to ``raw`` first, where they are not there; the Decathlon's only.

    Returns:
        the datalist's path.

    Raises:
        FileNotFoundError: no such data set or case.
        ValueError: no such source; a label without image, image and label on different grids, a label value that the
            task does not have; a case name without a patient; names of the split that are not there or stand twice; a
            patient both for training and for validation. The message has the names; the datalist stays as it was.
    """
    raw, output = Path(raw), Path(output)
    source = nnunet_source(raw, task) if name == NNUNET else SOURCES.get(name) or CONVERTERS.get(name)
    if source is None:
        raise ValueError(f"unknown data set {name!r}: choose one of {', '.join([*SOURCES, *CONVERTERS, NNUNET])}")
    found = _task(name, source, task, tasks or shipped_table(task or source.task))
    if isinstance(source, Source) and name == NNUNET:
        source = replace(source, values=nnunet_values(raw, found))
    if download:
        _download(name, source, raw)
    if source.archive and (raw / source.archive).is_dir():
        raw = raw / source.archive  # other data sets of the Decathlon may lie beside it
    listed = source.find(raw) if isinstance(source, Converter) else find_labelled(raw, source)
    if not listed:
        raise FileNotFoundError(f"no case of {name} in {raw}: expected {source.expected}")
    path = output / "datalist.json"
    content = read_json(path) if path.is_file() else {}
    origin = Origin.of(found.name, name, raw, output)
    others = {section: [e for e in content.get(section, []) if not origin.replaces(e)] for section in SECTIONS}
    there = [entry for entries in others.values() for entry in entries]
    names = _names([case.name for case in listed], there, raw, found.name)
    patients = _patients(listed, names, group, origin.known_patients(there), output)
    sections = None if split is None else read_split(split, list(patients))
    if sections is not None:
        _refuse_divided(sections, patients, others, origin, str(split))
    cases = _as_files(listed, found, names, output)
    kept = _check(cases, source, found, name)
    if sections is None:
        sections = draw_split({case.name: patients[case.name] for case in kept}, validation_share, seed)
        where = f"beside the entries of {path}, the split drawn by seed {seed} (choose one with `--split`)"
        _refuse_divided(sections, patients, others, origin, where)
    folder = output / "labels" / found.name
    entries = {}
    for case in tqdm(kept, desc="labels", disable=None):
        final = names[case.name]
        label = label_of_task(case, source.values, folder / f"{final}.nii.gz")
        entries[case.name] = origin.entry(final, patients[case.name], case.images, label, output)
    added = {section: [entries[n] for n in members if n in entries] for section, members in sections.items()}
    write_json(path, content | {section: others[section] + added[section] for section in SECTIONS})
    logger.info("%s: %s", path, ", ".join(f"{len(members)} for {section}" for section, members in added.items()))
    return path


def _task(name: str, source: Source | Converter, task: str | None, tasks: TaskTable) -> Task:
    if task is not None:
        return tasks.one(task)
    if source.task is None:
        raise ValueError(
            f"{name} belongs to no official task: name yours with `--task`, from a `--tasks_file` that has it"
        )
    try:
        return tasks.one(source.task)
    except ValueError as error:
        raise ValueError(
            f"{name} trains {source.task}, name a `--tasks_file` that has this task, or another with `--task`: {error}"
        ) from error


def _download(name: str, source: Source | Converter, raw: Path) -> None:
    if source.archive is None:
        known = [key for key, other in SOURCES.items() if other.archive]
        raise ValueError(f"{name} cannot be downloaded from here, only {', '.join(known)}: get it from its source")
    download_decathlon(source.archive, raw)


def _names(names: Sequence[str], there: Sequence[Mapping[str, Any]], raw: Path, task: str) -> dict[str, str]:
    """The cases' names in the datalist, told apart from those of the entries that are there."""
    twins = sorted({name for name in names if names.count(name) > 1})
    if twins:
        raise ValueError(f"{raw} holds several cases of one name: {listing(twins)}")
    free = free_names(names, {str(entry.get("name")) for entry in there}, (raw.resolve().name, task))
    changed = [f"{name} as {new}" for name, new in free.items() if new != name]
    if changed:
        logger.warning("other cases of the datalist have these names, taken are %s", listing(changed))
    return free


def _patients(
    cases: Sequence[Case | RawCase],
    names: Mapping[str, str],
    pattern: str | None,
    known: Mapping[tuple[str, ...], str],
    output: Path,
) -> dict[str, str]:
    """The patient of each case: by the pattern, else as the data set or an entry of the same images says."""
    if pattern is not None:
        return dict(zip(names, patients_of(list(names), pattern)))
    patients = {}
    for case in cases:
        images = tuple(relative(image, output) for image in case.images) if isinstance(case, Case) else ()
        patients[case.name] = case.patient or known.get(images, names[case.name])
    return patients


def _refuse_divided(
    sections: Mapping[str, Sequence[str]],
    patients: Mapping[str, str],
    others: Mapping[str, Sequence[Mapping[str, Any]]],
    origin: Origin,
    where: str,
) -> None:
    """Refuses a split that parts a patient, also from entries of the same data set that are there already."""
    new = [(name, patients[name], section) for section, members in sections.items() for name in members]
    old = [
        (str(entry["name"]), group_of(entry), section)
        for section, entries in others.items()
        for entry in entries
        if origin.shares_patients(entry)
    ]
    refuse_divided([*new, *old], where)


def _as_files(listed: Sequence[Case | RawCase], task: Task, names: Mapping[str, str], output: Path) -> list[Case]:
    """The cases as files; those that are none yet are converted, unless that has been done already."""
    cases: list[Case] = []
    faults = []
    for case in tqdm(listed, desc="converting", disable=None):
        if isinstance(case, Case):
            cases.append(case)
            continue
        cases.append(case_under(output, task.name, case, names[case.name], len(task.channels)))
        try:
            write_case(case, cases[-1])
        except (ValueError, OSError) as error:
            faults.append(f"{case.name}: {error}")
    if faults:
        raise ValueError(
            f"{len(faults)} of {len(listed)} cases cannot be converted, the datalist stays as it was:\n"
            f"{in_lines(faults)}"
        )
    return cases


def _check(cases: Sequence[Case], source: Source | Converter, task: Task, name: str) -> list[Case]:
    """The cases to take: all, or where the source says so those with foreground."""
    faults, empty = [], []
    for case in tqdm(cases, desc="checking", disable=None):
        try:
            if not has_foreground(case, source.values, len(task.channels), len(task.classes)):
                empty.append(case.name)
        except (ValueError, OSError) as error:
            faults.append(str(error))
    if faults:
        raise ValueError(
            f"{len(faults)} of {len(cases)} cases of {name} are faulty, nothing written:\n{in_lines(faults)}"
        )
    if empty:
        out = " and are left out" if source.drop_empty else ""
        logger.warning("%d of %d cases have no foreground%s: %s", len(empty), len(cases), out, listing(empty))
    return [case for case in cases if not (source.drop_empty and case.name in empty)]
