"""The task table: what each task reads, at which spacing, and what it names.

The one rule: nothing else in the project spells a spacing, a modality or a class name. This module imports no torch.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

__all__ = ["Task", "TaskTable", "load_task_table"]


@dataclass(frozen=True)
class Task:
    """One segmentation task.

    Attributes:
        id: index of the task's prompt in the network.
        name: how users call it.
        channels: modality of each input channel, in the order of the files (``_0000``, ``_0001``, ...).
        spacing: voxel size the network sees, in mm, axes (z, y, x).
        classes: names of the foreground classes; the task's own label value of ``classes[i]`` is ``i + 1``.
        values: the same classes' values in the union of all tasks.
    """

    id: int
    name: str
    channels: tuple[str, ...]
    spacing: tuple[float, float, float]
    classes: tuple[str, ...]
    values: tuple[int, ...]

    @property
    def num_outputs(self) -> int:
        """Output channels the task uses: background and its classes."""
        return len(self.classes) + 1


# The official eleven (Ye et al., MICCAI 2023, table 1), in the order of their prompts.
# VerSe: the authors' planner has 4, 2, 2 mm, their prediction example 3, 1.5, 1.5 mm; what predicts decides here,
# and one spacing for all CT tasks lets them share an encoder pass.
_BODY = (3.0, 1.5, 1.5)
_OFFICIAL: tuple[dict[str, Any], ...] = (
    {"name": "liver", "channels": ["CT"], "spacing": _BODY, "classes": ["liver", "liver_tumour"]},
    {"name": "kidney", "channels": ["CT"], "spacing": _BODY, "classes": ["kidney", "kidney_tumour"]},
    {
        "name": "hepatic_vessel",
        "channels": ["CT"],
        "spacing": _BODY,
        "classes": ["hepatic_vessel", "hepatic_vessel_tumour"],
    },
    {"name": "pancreas", "channels": ["CT"], "spacing": _BODY, "classes": ["pancreas", "pancreas_tumour"]},
    {"name": "colon", "channels": ["CT"], "spacing": _BODY, "classes": ["colon_tumour"]},
    {"name": "lung", "channels": ["CT"], "spacing": _BODY, "classes": ["lung_tumour"]},
    {"name": "spleen", "channels": ["CT"], "spacing": _BODY, "classes": ["spleen"]},
    {"name": "vertebrae", "channels": ["CT"], "spacing": _BODY, "classes": ["vertebrae"]},
    {"name": "prostate", "channels": ["T2"], "spacing": _BODY, "classes": ["prostate"]},
    {
        "name": "brain_tumour",
        "channels": ["T1", "T1ce", "T2", "FLAIR"],
        "spacing": (1.0, 1.0, 1.0),
        "classes": ["brain_oedema", "brain_non_enhancing_tumour", "brain_enhancing_tumour"],
    },
    {
        "name": "whole_body_tumour",
        "channels": ["CT", "PET"],
        "spacing": (8.0, 4.0, 4.0),
        "classes": ["whole_body_tumour"],
    },
)


class TaskTable:
    """An ordered set of tasks; numbers of tasks, channels and classes follow from it.

    Args:
        entries: one mapping a task with ``name``, ``channels``, ``spacing`` (z, y, x mm), ``classes`` and, where label
            maps are to keep values of their own, ``values``, one a class (1..255).

    Raises:
        ValueError: an entry lacks a field, or a name or value stands twice.
    """

    def __init__(self, entries: Sequence[Mapping[str, Any]]) -> None:
        if not entries:
            raise ValueError("a task table needs at least one task, got none")
        tasks: list[Task] = []
        next_value = 1
        for entry in entries:
            task = _read_entry(entry, len(tasks), next_value)
            next_value = max(next_value - 1, *task.values) + 1
            tasks.append(task)
        self.tasks = tuple(tasks)
        _refuse_twins("task name", [task.name for task in tasks])
        _refuse_twins("class name", [name for task in tasks for name in task.classes])
        _refuse_twins("label value", [str(value) for task in tasks for value in task.values])

    def __len__(self) -> int:
        return len(self.tasks)

    def __iter__(self) -> Iterator[Task]:
        return iter(self.tasks)

    @property
    def in_channels(self) -> list[int]:
        """The channel counts the network must accept, ascending."""
        return sorted({len(task.channels) for task in self.tasks})

    @property
    def out_channels(self) -> int:
        """Background and as many classes as the largest task has."""
        return max(task.num_outputs for task in self.tasks)

    @property
    def labels(self) -> dict[int, str]:
        """The union dictionary: global label value -> class name, 0 the background."""
        pairs = {value: name for task in self.tasks for value, name in zip(task.values, task.classes)}
        return {0: "background", **pairs}

    @property
    def groups(self) -> dict[str, tuple[Task, ...]]:
        """Merged tasks: ``all_ct`` and the like, every set of two or more tasks that read the same channels."""
        by_channels: dict[tuple[str, ...], list[Task]] = {}
        for task in self.tasks:
            by_channels.setdefault(task.channels, []).append(task)
        return {
            "all_" + "_".join(channels).lower(): tuple(members)
            for channels, members in by_channels.items()
            if len(members) > 1
        }

    @property
    def choices(self) -> list[str]:
        """Every name that :meth:`select` takes."""
        return [task.name for task in self.tasks] + list(self.groups)

    def select(self, task: str | int | Sequence[str]) -> tuple[Task, ...]:
        """The tasks behind a user's word: one for a name or an official id, several for ``all_ct``.

        What arrives is data, never evaluated. A list stands for a menu of which nothing was chosen: its first entry
        counts (MONAI Label hands the whole list over when the client sends no choice).

        Raises:
            ValueError: no such task; or the tasks of a merged name differ in spacing and cannot share one pass.
        """
        if isinstance(task, (list, tuple)) and task:
            task = task[0]
        if isinstance(task, str) and task.isdecimal():
            task = int(task)
        if isinstance(task, int) and not isinstance(task, bool):
            if 0 <= task < len(self):
                return (self.tasks[task],)
            raise ValueError(f"task id {task} does not exist: ids run from 0 to {len(self) - 1} ({self._listing()})")
        for known in self.tasks:
            if known.name == task:
                return (known,)
        if isinstance(task, str) and task in self.groups:
            members = self.groups[task]
            if len({member.spacing for member in members}) > 1:
                spacings = ", ".join(f"{member.name} {member.spacing}" for member in members)
                raise ValueError(f"{task!r} needs one spacing for all its tasks, got {spacings}: run them one by one")
            return members
        near = difflib.get_close_matches(str(task), self.choices, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(f"unknown task {str(task)[:80]!r}: {hint}choose one of {self._listing()}")

    def one(self, task: str | int) -> Task:
        """Like :meth:`select`, for places that need exactly one task.

        Raises:
            ValueError: no such task, or a merged one.
        """
        selected = self.select(task)
        if len(selected) != 1:
            raise ValueError(f"{task!r} stands for {len(selected)} tasks where one is needed: {self._listing()}")
        return selected[0]

    def _listing(self) -> str:
        return ", ".join(self.choices)


def load_task_table(path: str | PathLike[str] | None = None) -> TaskTable:
    """The official eleven tasks, or those of a JSON file.

    The file holds ``{"extends": "uniseg", "tasks": [...]}``. With ``extends`` an entry of a known name replaces that
    task and others are appended; without it the list is the whole table. See :class:`TaskTable` for an entry.

    Raises:
        ValueError: the file is no JSON, or an entry is wrong; the message names the file.
        FileNotFoundError: no such file.
    """
    if path is None:
        return TaskTable(_OFFICIAL)
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or not isinstance(content.get("tasks"), list):
            raise ValueError('expected an object {"extends": "uniseg", "tasks": [...]}')
        if content.get("extends") not in (None, "uniseg"):
            raise ValueError(f'"extends" is {content["extends"]!r}: only "uniseg" can be extended')
        if not content.get("extends"):
            return TaskTable(content["tasks"])
        entries = {entry["name"]: entry for entry in _OFFICIAL}
        entries.update({_field(entry, "name"): entry for entry in content["tasks"]})
        return TaskTable(list(entries.values()))
    except ValueError as error:
        raise ValueError(f"task table {path}: {error}") from error


def _read_entry(entry: Mapping[str, Any], index: int, first_value: int) -> Task:
    name, channels = _field(entry, "name"), tuple(_field(entry, "channels"))
    spacing, classes = tuple(float(mm) for mm in _field(entry, "spacing")), tuple(_field(entry, "classes"))
    unknown = set(entry) - {"name", "channels", "spacing", "classes", "values"}
    if unknown:
        raise ValueError(f"task {name!r} has unknown fields {sorted(unknown)}")
    if not channels or not classes:
        raise ValueError(f"task {name!r} needs at least one channel and one class")
    if len(spacing) != 3 or min(spacing) <= 0:
        raise ValueError(f"task {name!r} has spacing {spacing}: expected three positive numbers, (z, y, x) in mm")
    values = tuple(entry.get("values") or range(first_value, first_value + len(classes)))
    if len(values) != len(classes) or not all(isinstance(value, int) and 0 < value < 256 for value in values):
        raise ValueError(f"task {name!r} has values {values}: expected {len(classes)} whole numbers from 1 to 255")
    return Task(index, name, channels, (spacing[0], spacing[1], spacing[2]), classes, values)


def _field(entry: Mapping[str, Any], name: str) -> Any:
    if not isinstance(entry, Mapping) or name not in entry:
        raise ValueError(f"task entry {entry!r} lacks the field {name!r}")
    return entry[name]


def _refuse_twins(what: str, names: Sequence[str]) -> None:
    twins = sorted({name for name in names if names.count(name) > 1})
    if twins:
        raise ValueError(f"{what} {', '.join(twins)} stands more than once")
