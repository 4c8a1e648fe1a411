"""Finds the labelled cases of a NIfTI data set by its row of the table."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from uniseg_nets.data.dataset_json import labels_of, refuse_ignored
from uniseg_nets.io.files import read_json
from uniseg_nets.io.messages import listing
from uniseg_nets.io.names import NIFTI_ENDINGS, SCAN_ENDINGS
from uniseg_nets.prepare.sources import Source
from uniseg_nets.tasks import Task

__all__ = ["Case", "find_labelled", "nnunet_source", "nnunet_values", "other_kinds"]

logger = logging.getLogger(__name__)

_NIFTI_ALONE = "`uniseg prepare` reads NIfTI alone: convert them to .nii.gz, or use `uniseg plan`, which reads them"


@dataclass(frozen=True)
class Case:
    """Files of one labelled case.

    Attributes:
        name: name of the case.
        patient: patient of the case; ``None`` if each case is of another patient, or if that is unknown.
        images: image files, one per channel or one with all channels.
        label: file of the label map.
    """

    name: str
    patient: str | None
    images: tuple[Path, ...]
    label: Path


def nnunet_source(raw: Path, task: str | None) -> Source:
    """The table row of an nnU-Net folder, with the channels of its ``dataset.json``.

    Raises:
        FileNotFoundError: if there is no ``dataset.json``.
        ValueError: if it has no channels, or its files are not NIfTI.
    """
    description = read_json(raw / "dataset.json")
    ending = str(description.get("file_ending", NIFTI_ENDINGS[0]))
    if ending not in NIFTI_ENDINGS:
        raise ValueError(f"{raw / 'dataset.json'}: its files end in {ending}, and {_NIFTI_ALONE}")
    channels = description.get("channel_names") or description.get("modality")
    if not isinstance(channels, Mapping):
        raise ValueError(f"{raw / 'dataset.json'} lacks channel_names (or modality)")
    images = tuple(f"imagesTr/{{id}}_{channel:04d}" for channel in range(len(channels)))
    return Source(task, r"labelsTr/(?P<id>[^/]+)", images, values={})


def nnunet_values(raw: Path, task: Task, others_as_background: bool = False) -> dict[int, int]:
    """Label value in an nnU-Net folder's files -> the task's own 1, 2, ..., which is logged.

    Labels are the classes of their names; capitals, and spaces for underscores, make no difference. Where no name is
    that of a class, values of the task table that are not simply 1, 2, ... are believed, with a warning.

    Args:
        raw: the folder.
        task: the task.
        others_as_background: map labels that are no class of the task to 0; they are refused by default.

    Returns:
        The mapping; empty if the folder names no labels, so that its files must have the task's own values.

    Raises:
        ValueError: if a label is no class of the task, or none is, or one marks voxels to ignore or has several values.
    """
    path = raw / "dataset.json"
    labels = labels_of(read_json(path), path) or {}
    refuse_ignored(labels, path)
    numbers = {value: number for number, value in enumerate(task.values, start=1)}
    own = {_spelled(name): number for number, name in enumerate(task.classes, start=1)}
    values = {value: own[_spelled(name)] for value, name in labels.items() if _spelled(name) in own}
    others = [f"{name} ({value})" for value, name in labels.items() if value not in values]
    if others and not values and set(labels) == set(numbers) != set(numbers.values()):
        logger.warning("%s: no label has the name of a class of %s; its values are believed", path, task.name)
        values, others = numbers, []
    if others and not (values and others_as_background):
        drop = ", or make these background with `--others_as_background`" if values else ""
        raise ValueError(
            f"{path}: {listing(others)} are no classes of {task.name}, which has {listing(task.classes)}: name the "
            f"labels as the task names its classes{drop}"
        )
    values = {value: values.get(value, 0) for value in labels}
    shown = [f"{labels[value]} ({value}) is {task.classes[number - 1]}" for value, number in values.items() if number]
    if labels:
        logger.info("%s: %s%s", path, listing(shown), f"; background: {listing(others)}" if others else "")
    return values


def _spelled(name: str) -> str:
    return name.casefold().replace(" ", "_")


def find_labelled(raw: Path, source: Source) -> list[Case]:
    """The cases, sorted by name. Whether their images exist is not checked.

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if a case has two label files.
    """
    if not raw.is_dir():
        raise FileNotFoundError(f"no folder {raw}")
    cases: dict[str, Case] = {}
    for label, stem in _nifti_files(raw):
        match = re.fullmatch(source.label, stem)
        if match is None:
            continue
        parts = match.groupdict()
        name = source.name.format(**parts)
        images = tuple(_with_ending(raw, template.format(**parts)) for template in source.images)
        if name in cases:
            raise ValueError(f"case {name} is there twice: {cases[name].label} and {label}")
        patient = None if source.group is None else source.group.format(**parts)
        cases[name] = Case(name, patient, images, label)
    return [cases[name] for name in sorted(cases)]


def _nifti_files(raw: Path) -> Iterator[tuple[Path, str]]:
    """Files and their paths relative to the root, without ending and without hidden files."""
    for path in sorted(raw.rglob("*.nii*")):
        relative = path.relative_to(raw)
        ending = next((ending for ending in NIFTI_ENDINGS if path.name.endswith(ending)), None)
        if ending and not any(part.startswith(".") for part in relative.parts):
            yield path, relative.as_posix().removesuffix(ending)


def _with_ending(raw: Path, stem: str) -> Path:
    candidates = [raw / (stem + ending) for ending in NIFTI_ENDINGS]
    return next((candidate for candidate in candidates if candidate.is_file()), candidates[0])


def other_kinds(raw: Path) -> str:
    """A hint at scans in a folder that are not NIfTI, for a message; empty if there are none."""
    endings = set(SCAN_ENDINGS) - set(NIFTI_ENDINGS)
    found = sorted({path.suffix.lower() for path in raw.rglob("*") if path.suffix.lower() in endings})
    return f"; it has files in {', '.join(found)}, and {_NIFTI_ALONE}" if found else ""
