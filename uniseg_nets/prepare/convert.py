"""Reads a data set as it was downloaded, checks every case, and adds it to a datalist.

The one rule: nothing is written before everything has been checked, and images are named where they lie, not copied.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, cast

import nibabel as nib
import numpy as np
from tqdm import tqdm

from uniseg_nets.data.datalist import read_json
from uniseg_nets.files import atomic_path, write_json
from uniseg_nets.prepare.sources import SOURCES, Source
from uniseg_nets.tasks import TaskTable
from uniseg_nets.transforms.grid import same_grid
from uniseg_nets.transforms.load import LoadCase

__all__ = ["prepare"]

logger = logging.getLogger(__name__)

_ENDINGS = (".nii.gz", ".nii")
_SHOWN = 10  # faults listed in one message


@dataclass(frozen=True)
class _Case:
    name: str
    images: tuple[Path, ...]
    label: Path


def prepare(
    name: str,
    raw: str | PathLike[str],
    output: str | PathLike[str],
    tasks: TaskTable,
    task: str | None = None,
    split: str | PathLike[str] | None = None,
    validation_share: float = 0.2,
    seed: int = 0,
) -> Path:
    """Adds a data set to ``output/datalist.json``; its earlier entries are replaced, those of other tasks stay.

    Labels whose values differ from the task's are rewritten under ``output/labels/TASK``.

    Args:
        name: a key of :data:`SOURCES`, or ``nnunet`` for a folder with ``imagesTr``, ``labelsTr`` and ``dataset.json``.
        raw: the data set's root.
        output: folder of the datalist.
        tasks: the task table.
        task: what the cases are to train, for ``nnunet`` and the data of fine-tuning.
        split: JSON with lists of case names under ``training`` and ``validation``, such as an official split.
        validation_share: without ``split``, the share drawn for validation by ``seed``.

    Returns:
        the datalist's path.

    Raises:
        FileNotFoundError: no such data set or case.
        ValueError: no such source; a label without image, image and label on different grids, a label value that the
            task does not have, names of the split that are not there. The message names the files; nothing is written.
    """
    raw, output = Path(raw), Path(output)
    source = _nnunet(raw, task) if name == "nnunet" else SOURCES.get(name)
    if source is None:
        raise ValueError(f"unknown data set {name!r}: choose one of {', '.join(SOURCES)}, nnunet")
    found = tasks.one(task or source.task or _refuse_without_task(name))
    cases = _find(raw, source)
    if not cases:
        raise FileNotFoundError(f"no case of {name} in {raw}: expected label files like {source.label}.nii.gz")
    faults, empty = [], set()
    for case in tqdm(cases, desc="checking", disable=None):
        try:
            if not _check(case, source, len(found.channels), len(found.classes)):
                empty.add(case.name)
        except (ValueError, OSError) as error:
            faults.append(str(error))
    if faults:
        more = f"\n  and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        listing = "\n  ".join(faults[:_SHOWN])
        raise ValueError(
            f"{len(faults)} of {len(cases)} cases of {name} are faulty, nothing written:\n  {listing}{more}"
        )
    if empty:
        logger.warning(
            "%d of %d cases have no foreground%s: %s",
            len(empty),
            len(cases),
            " and are left out" if source.drop_empty else "",
            ", ".join(sorted(empty)[:_SHOWN]),
        )
    kept = [case for case in cases if not (source.drop_empty and case.name in empty)]
    sections = _split(kept, split, validation_share, seed)
    folder = output / "labels" / found.name
    labels = {case.name: _label(case, source, folder) for case in tqdm(kept, desc="labels", disable=None)}
    path = output / "datalist.json"
    content = read_json(path) if path.is_file() else {"training": [], "validation": []}
    for section, members in sections.items():
        entries = [
            entry for entry in content.get(section, []) if (entry["task"], entry.get("source")) != (found.name, name)
        ]
        for case in members:
            files = [os.path.relpath(image.resolve(), output.resolve()) for image in case.images]
            label = os.path.relpath(labels[case.name].resolve(), output.resolve())
            entries.append({"name": case.name, "image": files, "label": label, "task": found.name, "source": name})
        content[section] = entries
    write_json(path, content)
    logger.info("%s: %s", path, ", ".join(f"{len(members)} for {section}" for section, members in sections.items()))
    return path


def _refuse_without_task(name: str) -> str:
    raise ValueError(f"{name} belongs to no official task: name yours with `--task`, from a `--tasks_file` that has it")


def _nnunet(raw: Path, task: str | None) -> Source:
    """An nnU-Net folder says itself how many channels it has."""
    description = read_json(raw / "dataset.json")
    channels = description.get("channel_names") or description.get("modality")
    if not isinstance(channels, Mapping):
        raise ValueError(f"{raw / 'dataset.json'} lacks channel_names (or modality)")
    images = tuple(f"{{dir}}imagesTr/{{id}}_{channel:04d}" for channel in range(len(channels)))
    return Source(task, r"(?P<dir>)labelsTr/(?P<id>[^/]+)", images, values={})


def _find(raw: Path, source: Source) -> list[_Case]:
    if not raw.is_dir():
        raise FileNotFoundError(f"no folder {raw}")
    cases: dict[str, _Case] = {}
    for label, stem in _nifti_files(raw):
        match = re.fullmatch(source.label, stem)
        if match is None:
            continue
        name = source.name.format(**match.groupdict())
        images = tuple(_with_ending(raw, template.format(**match.groupdict())) for template in source.images)
        if name in cases:
            raise ValueError(f"case {name} is there twice: {cases[name].label} and {label}")
        cases[name] = _Case(name, images, label)
    return [cases[name] for name in sorted(cases)]


def _nifti_files(raw: Path) -> Iterator[tuple[Path, str]]:
    """Files and their paths relative to the root, without ending; hidden ones left out."""
    for path in sorted(raw.rglob("*.nii*")):
        relative = path.relative_to(raw)
        ending = next((ending for ending in _ENDINGS if path.name.endswith(ending)), None)
        if ending and not any(part.startswith(".") for part in relative.parts):
            yield path, relative.as_posix().removesuffix(ending)


def _with_ending(raw: Path, stem: str) -> Path:
    places = [raw / (stem + ending) for ending in _ENDINGS]
    return next((place for place in places if place.is_file()), places[0])


def _check(case: _Case, source: Source, channels: int, classes: int) -> bool:
    """Whether the case has foreground."""
    missing = [str(image) for image in case.images if not image.is_file()]
    if missing:
        raise FileNotFoundError(f"{case.label}: no image {', '.join(missing)}")
    label = LoadCase()(case.label)
    found = 0
    for image in case.images:
        scan = cast(nib.Nifti1Image, nib.load(image))
        if scan.shape[:3] != tuple(label.shape[1:]) or not same_grid(scan.affine, label.affine):
            raise ValueError(f"{image} (size {scan.shape}) and {case.label} ({tuple(label.shape[1:])}) differ in grid")
        found += scan.shape[3] if len(scan.shape) == 4 else 1
    if found != channels:
        raise ValueError(f"{case.images[0]}: {found} channels, the task reads {channels}")
    values = np.unique(label.numpy())
    own = set(_mapped(values, source).tolist())
    wrong = own - set(range(classes + 1))
    if wrong:
        raise ValueError(f"{case.label} holds values {values.tolist()}, the task has classes 1 to {classes}")
    return own != {0}


def _mapped(values: np.ndarray, source: Source) -> np.ndarray:
    if source.values is None:
        return (values > 0).astype(np.uint8)
    mapped = values.copy()
    for old, new in source.values.items():
        mapped[values == old] = new
    return mapped


def _label(case: _Case, source: Source, folder: Path) -> Path:
    """The case's label file with the task's own values: its own where those fit already, else one in ``folder``."""
    scan = cast(nib.Nifti1Image, nib.load(case.label))
    values = np.asarray(scan.dataobj)
    mapped = _mapped(np.rint(values), source)
    if np.array_equal(mapped, values):
        return case.label
    target = folder / f"{case.name}.nii.gz"
    with atomic_path(target) as temporary:
        nib.save(nib.Nifti1Image(mapped.astype(np.uint8), None, scan.header), temporary)
    return target


def _split(
    cases: Sequence[_Case], split: str | PathLike[str] | None, share: float, seed: int
) -> dict[str, list[_Case]]:
    by_name = {case.name: case for case in cases}
    if split is None:
        drawn = np.random.default_rng(seed).permutation(sorted(by_name))
        count = round(len(drawn) * share)
        names: dict[str, Any] = {"training": sorted(drawn[count:]), "validation": sorted(drawn[:count])}
    else:
        names = read_json(Path(split))
    sections = {section: names.get(section, []) for section in ("training", "validation")}
    missing = [name for members in sections.values() for name in members if name not in by_name]
    if missing:
        raise ValueError(
            f"{split}: no case {', '.join(missing[:_SHOWN])}; there are {', '.join(list(by_name)[:_SHOWN])}"
        )
    return {section: [by_name[name] for name in members] for section, members in sections.items()}
