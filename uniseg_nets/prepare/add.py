"""Adds a downloaded data set to a datalist.

The one rule: the datalist is written after all checks, and refers to the scans at their place instead of copying them.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from os import PathLike
from pathlib import Path

from tqdm import tqdm

from uniseg_nets.io.messages import in_lines, listing
from uniseg_nets.prepare.check import has_foreground, label_of_task
from uniseg_nets.prepare.converters import CONVERTERS, Converter
from uniseg_nets.prepare.copies import Copies
from uniseg_nets.prepare.datalist import Datalist, alone
from uniseg_nets.prepare.download import download_decathlon, refuse_other_archive
from uniseg_nets.prepare.find import Case, find_labelled, nnunet_source, nnunet_values, other_kinds
from uniseg_nets.prepare.origin import NNUNET, Origin
from uniseg_nets.prepare.patients import identities, refuse_divided_patients
from uniseg_nets.prepare.raw import RawCase, case_under, write_case
from uniseg_nets.prepare.sources import SOURCES, Source
from uniseg_nets.prepare.split import draw_split, read_split
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
    others_as_background: bool = False,
) -> Path:
    """Adds a data set to ``output/datalist.json``. Its earlier entries are replaced, those of other data sets stay.

    Label maps whose values differ from the task's are rewritten under ``output/labels/TASK``. Data that are not NIfTI
    are converted to ``output/images/TASK`` and ``output/labels/TASK``; existing files are not converted again. All
    cases of a patient are on one side of the split, and so are copies of a scan, with the same voxels under other
    names. Several runs may add to one datalist at the same time.

    Args:
        name: a key of :data:`SOURCES` or :data:`CONVERTERS`, or ``nnunet`` for a folder with ``imagesTr``, ``labelsTr``
            and ``dataset.json``.
        raw: root folder of the data set.
        output: folder of the datalist.
        tasks: the task table; by default the shipped one that has the task.
        task: task of the cases, for ``nnunet`` and data sets for fine-tuning.
        split: JSON with lists of case names under ``training`` and ``validation``, such as an official split. Cases
            that it does not name are left out, with a warning.
        validation_share: without ``split``, the fraction of cases for validation, drawn by patient.
        seed: random seed of the split.
        group: regular expression that finds the patient in a case's name, instead of the known pattern of the data set.
        download: download the data to ``raw`` first, if they are missing; for the Decathlon only.
        others_as_background: of an ``nnunet`` folder, map labels that are no class of the task to background; they are
            refused by default.

    Returns:
        The path of the datalist.

    Raises:
        FileNotFoundError: if there is no such data set or case.
        ValueError: if there is no such source, or the folder is of another task of the Decathlon; a label of an
            ``nnunet`` folder is no class of the task; a label map has no image, another grid than its image, or a value
            that the data set or the task does not have; a case name has no patient; the split lacks a section, or a
            name of it is missing or occurs twice; a patient is in both training and validation, or copies of a scan
            are; the datalist has the same scans from another source; or no case is left. The message has the names;
            the datalist is unchanged.
    """
    raw, output = Path(raw), Path(output)
    source = nnunet_source(raw, task) if name == NNUNET else SOURCES.get(name) or CONVERTERS.get(name)
    if source is None:
        raise ValueError(f"unknown data set {name!r}: choose one of {', '.join([*SOURCES, *CONVERTERS, NNUNET])}")
    chosen = _task(name, source, task, tasks or shipped_table(task or source.task))
    if others_as_background and name != NNUNET:
        raise ValueError(
            f"others_as_background is for {NNUNET} folders, and {name} has its own label values: leave it out"
        )
    if isinstance(source, Source) and name == NNUNET:
        source = replace(source, values=nnunet_values(raw, chosen, others_as_background))
    if download:
        _download(name, source, raw)
    if source.archive:
        raw = _decathlon_folder(name, source.archive, raw)
    listed = _listed(name, source, raw)
    origin = Origin.of(chosen.name, name, raw, output)
    datalist = Datalist.read(output / "datalist.json", origin)
    identify = partial(identities, listed, origin=origin, raw=raw, output=output, pattern=group)
    names, patients = identified = identify(datalist)
    where = f"with the entries of {datalist.path}, the split drawn by seed {seed} (choose one with `--split`)"
    sections = None
    if split is not None:
        where, sections = str(split), read_split(split, list(patients))
        refuse_divided_patients(sections, patients, datalist, origin, where)
    cases = _as_files(listed, chosen, names, output)
    usable = {case.name: case for case in _check(cases, source, chosen, name)}
    copies = Copies(usable.values())
    patients = copies.united(patients)
    if sections is None:
        sections = draw_split({case: patients[case] for case in usable}, validation_share, seed)
    sections = {section: [case for case in members if case in usable] for section, members in sections.items()}
    copies.refuse_divided(sections, datalist, where)
    refuse_divided_patients(sections, patients, datalist, origin, where)
    if not any(sections.values()):
        raise ValueError(f"{name}: no case is left, those without foreground are left out; the datalist is unchanged")
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".preparing-", dir=output) as folder:
        labels = {
            case.name: label_of_task(case, source.values, Path(folder) / f"{names[case.name]}.nii.gz")
            for case in tqdm(usable.values(), desc="labels", disable=None)
        }
        with alone(datalist.path):
            now = Datalist.read(datalist.path, origin)
            if now != datalist and identify(now) != identified:
                raise ValueError(
                    f"{now.path}: another run has meanwhile added cases with the names or images of these; they stay, "
                    f"prepare {name} again"
                )
            copies.refuse_divided(sections, now, where)
            refuse_divided_patients(sections, patients, now, origin, where)
            labels = _in_place(labels, Path(folder), output / "labels" / chosen.name)
            entries = {
                case: origin.entry(names[case], patients[case], usable[case].images, label, output)
                for case, label in labels.items()
            }
            now.write({section: [entries[case] for case in members] for section, members in sections.items()})
    counts = ", ".join(f"{len(members)} for {section}" for section, members in sections.items())
    logger.info("%s: %s", datalist.path, counts)
    return datalist.path


def _in_place(labels: Mapping[str, Path], written: Path, target: Path) -> dict[str, Path]:
    """Moves the label maps in the folder ``written`` to the folder ``target``; others stay where they are."""
    placed = dict(labels)
    for case, label in labels.items():
        if label.parent == written:
            target.mkdir(parents=True, exist_ok=True)
            placed[case] = label.replace(target / label.name)
    return placed


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


def _decathlon_folder(name: str, archive: str, raw: Path) -> Path:
    """The folder of a task of the Decathlon: in ``raw``, which may have other tasks beside it, or ``raw`` itself."""
    if (raw / archive).is_dir():
        return raw / archive
    if not (raw / "labelsTr").is_dir():
        raise FileNotFoundError(f"no case of {name} in {raw}: expected its folder {archive}, or its labelsTr")
    refuse_other_archive(raw, archive)
    return raw


def _listed(name: str, source: Source | Converter, raw: Path) -> Sequence[Case | RawCase]:
    listed: Sequence[Case | RawCase]
    listed = source.find(raw) if isinstance(source, Converter) else find_labelled(raw, source)
    if not listed:
        others = "" if isinstance(source, Converter) else other_kinds(raw)
        raise FileNotFoundError(f"no case of {name} in {raw}: expected {source.expected}{others}")
    return listed


def _as_files(listed: Sequence[Case | RawCase], task: Task, names: Mapping[str, str], output: Path) -> list[Case]:
    """The cases as files. Cases that are not NIfTI are converted, if that has not been done already."""
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
            f"{len(faults)} of {len(listed)} cases cannot be converted, the datalist is unchanged:\n{in_lines(faults)}"
        )
    return cases


def _check(cases: Sequence[Case], source: Source | Converter, task: Task, name: str) -> list[Case]:
    """The usable cases: all, or those with foreground if the source says so."""
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
