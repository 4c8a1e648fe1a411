"""The task table: each task's channels, preprocessing and classes.

The one rule: spacings, modalities and class names are written here and nowhere else. This module imports no torch.
"""

from __future__ import annotations

import difflib
import json
import math
import operator
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from os import PathLike
from pathlib import Path
from typing import Any

from uniseg_nets.io.messages import did_you_mean

__all__ = [
    "AXES",
    "MASKS",
    "SCHEMES",
    "Scaling",
    "Task",
    "TaskTable",
    "chosen",
    "load_task_table",
    "shipped_table",
    "sided_classes",
    "table_of",
]

# How the axes of a file are mapped to the network's (z, y, x), see ``Task.axes``.
AXES = ("anatomical", "acquisition")
# Which voxels z-scores are computed from, see ``Task.mask``.
MASKS = ("never", "training", "always")
# Numbers that each intensity scaling needs, see ``Scaling.scheme``.
SCHEMES: Mapping[str, tuple[str, ...]] = {
    "window": ("low", "high"),
    "percentiles": ("low", "high", "mean", "std"),
    "z_score": (),
}
# Above this ratio of largest to smallest voxel edge a scan is anisotropic (Isensee et al. 2021).
ANISOTROPY = 3.0
# The same ratio for scans of a task with thick slices: its scans are known to be stacks.
STACK = 1.5


@dataclass(frozen=True)
class Scaling:
    """How the intensities of one channel are scaled.

    Attributes:
        scheme: ``window`` clips to ``low`` and ``high`` and maps them to 0 and 1; ``percentiles`` clips to the
            training set's ``low`` and ``high``, subtracts its ``mean`` and divides by its ``std`` (nnU-Net's CT);
            ``z_score`` uses the mean and the standard deviation of the case itself.
        low, high, mean, std: numbers of the scheme, in the unit of the scan.
    """

    scheme: str
    low: float = 0.0
    high: float = 0.0
    mean: float = 0.0
    std: float = 1.0

    def scaled(self, value: float) -> float:
        """The scaled value of an intensity.

        Raises:
            ValueError: if the scheme is a z-score, which depends on the case.
        """
        if self.scheme == "z_score":
            raise ValueError("the z-score of an intensity depends on the case")
        value = min(max(value, self.low), self.high)
        if self.scheme == "window":
            return (value - self.low) / (self.high - self.low)
        return (value - self.mean) / self.std


@dataclass(frozen=True)
class Task:
    """One segmentation task.

    Attributes:
        id: index of the task's prompt in the network.
        name: name for users.
        channels: modality of each input channel, in the order of the files (``_0000``, ``_0001``, ...).
        spacing: voxel size of the network's input in mm, axes (z, y, x).
        classes: names of the foreground classes. The task's own label value of ``classes[i]`` is ``i + 1``.
        values: label values of the same classes in the union of all tasks.
        axes: how the axes of a file are mapped to the network's. ``anatomical``: towards superior, anterior, right,
            for every orientation of the file. ``acquisition``: the slice axis of a stack comes first, the other axes
            stay as stored and nothing is flipped. A scan is a stack if its largest voxel edge is more than 3 times its
            smallest one, or more than 1.5 times for a task with thick slices.
        scaling: intensity scaling per channel.
        mask: whether z-scores are computed from the non-zero voxels, with 0 elsewhere: ``never``, ``always``, or in
            ``training`` alone, as the authors did for brain MR.
        mirror_axes: axes (0 z, 1 y, 2 x) along which scans may be mirrored, in training and in prediction. By default
            the left-right axis is left out for tasks whose classes differ by their side.
        max_pieces: number of connected components that a label map keeps per class, the largest ones; 0 for all.
    """

    id: int
    name: str
    channels: tuple[str, ...]
    spacing: tuple[float, float, float]
    classes: tuple[str, ...]
    values: tuple[int, ...]
    axes: str
    scaling: tuple[Scaling, ...]
    mask: str
    mirror_axes: tuple[int, ...]
    max_pieces: tuple[int, ...]

    @property
    def num_outputs(self) -> int:
        """Output channels the task uses: background and its classes."""
        return len(self.classes) + 1

    @property
    def anisotropic(self) -> bool:
        """Whether the largest voxel edge of the network's input is more than 3 times the smallest one."""
        return max(self.spacing) > ANISOTROPY * min(self.spacing)


# Hounsfield window of CT channels (official-release constant).
_CT = {"scheme": "window", "low": -325.0, "high": 325.0}
_Z_SCORE = {"scheme": "z_score"}
# The official eleven (Ye et al., MICCAI 2023, table 1), in the order of their prompts.
# VerSe: the authors' planner has 4, 2, 2 mm, their prediction example 3, 1.5, 1.5 mm. The example's spacing is used: it
# is that of prediction, and with one spacing all CT tasks share an encoder pass.
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
        "mask": "training",
    },
    {
        "name": "whole_body_tumour",
        "channels": ["CT", "PET"],
        "spacing": (8.0, 4.0, 4.0),
        "classes": ["whole_body_tumour"],
    },
)
# Five tasks with openly licensed training data. The left ventricle is imaged in stacks of thick short-axis slices.
_OPEN: tuple[dict[str, Any], ...] = (
    {
        "name": "hippocampus",
        "channels": ["T1"],
        "spacing": (1.0, 1.0, 1.0),
        "classes": ["anterior_hippocampus", "posterior_hippocampus"],
    },
    {
        "name": "left_atrium",
        "channels": ["MR"],
        "spacing": (2.0, 2.0, 2.0),
        "classes": ["left_atrium"],
        "max_pieces": {"left_atrium": 1},
    },
    {
        "name": "left_ventricle",
        "channels": ["CINE"],
        "spacing": (8.0, 1.6, 1.6),
        "classes": ["left_ventricle"],
        "axes": "acquisition",
    },
    {
        "name": "head_neck",
        "channels": ["CT"],
        "spacing": (3.0, 4.0, 4.0),
        "classes": ["brainstem", "spinal_cord", "parotid_glands", "mandible"],
        "max_pieces": {"brainstem": 1, "spinal_cord": 1, "mandible": 1},
    },
    {
        "name": "sarcoma",
        "channels": ["CT", "PET"],
        "spacing": (3.3, 2.0, 2.0),
        "classes": ["sarcoma"],
        "max_pieces": {"sarcoma": 1},
    },
)
_TABLES: Mapping[str, tuple[dict[str, Any], ...]] = {"uniseg": _OFFICIAL, "open": _OPEN}


class TaskTable:
    """An ordered set of tasks. The numbers of tasks, channels and classes follow from it.

    Args:
        entries: one mapping per task with ``name``, ``channels``, ``spacing`` (z, y, x mm) and ``classes``. Optional
            are ``values``, label values of its own (1..255, one per class); ``axes``, ``mask`` and ``mirror_axes`` as
            in :class:`Task`; ``max_pieces``, class name -> number, for the classes that it limits; and ``scaling``, one
            mapping per channel with the fields of :class:`Scaling`. By default CT channels are scaled by the official
            Hounsfield window, all others to z-scores.

    Raises:
        ValueError: if an entry lacks a field or has a wrong one, two tasks share a name or a value, a task has one
            class twice, or a task's name is the id of another one.
    """

    def __init__(self, entries: Sequence[Mapping[str, Any]]) -> None:
        if not entries:
            raise ValueError("a task table needs at least one task, got none")
        tasks: list[Task] = []
        for entry in entries:
            tasks.append(_read_entry(entry, len(tasks), {value for task in tasks for value in task.values}))
        self.tasks = tuple(tasks)
        _refuse_twins("task name", [task.name for task in tasks])
        for task in tasks:
            _refuse_twins(f"class name of task {task.name!r}", task.classes)
            if task.name.isdecimal() and int(task.name) < len(tasks) and int(task.name) != task.id:
                raise ValueError(f"task name {task.name!r} is the id of another task: choose another name")
        _refuse_twins("label value", [str(value) for task in tasks for value in task.values])

    def __len__(self) -> int:
        return len(self.tasks)

    def __iter__(self) -> Iterator[Task]:
        return iter(self.tasks)

    @property
    def in_channels(self) -> list[int]:
        """Channel counts that the network must accept, ascending."""
        return sorted({len(task.channels) for task in self.tasks})

    @property
    def out_channels(self) -> int:
        """Output channels of the largest task, with the background."""
        return max(task.num_outputs for task in self.tasks)

    @property
    def labels(self) -> dict[int, str]:
        """The union dictionary: global label value -> class name, 0 the background."""
        pairs = {value: name for task in self.tasks for value, name in zip(task.values, task.classes)}
        return {0: "background", **pairs}

    @property
    def groups(self) -> dict[str, tuple[Task, ...]]:
        """Merged tasks such as ``all_ct``: each set of two or more tasks that read the same channels."""
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

    def select(self, task: str | int | Sequence[str | int]) -> tuple[Task, ...]:
        """The tasks of a name, an id, a merged name such as ``all_ct``, or a list.

        Several tasks share one pass, in the order in which they are named: ``["liver", "spleen"]`` or
        ``"liver,spleen"``. The argument is never evaluated.

        Raises:
            ValueError: if there is no such task, a task is named twice, or the tasks need different preprocessing and
                cannot share one pass.
        """
        if isinstance(task, str) and task not in self.choices:
            words: Sequence[Any] = [word.strip() for word in task.split(",")]
        else:
            words = task if isinstance(task, (list, tuple)) and task else [task]
        members = tuple(member for word in words for member in self._named(word))
        _refuse_twins("task", [member.name for member in members])
        if len({(one.channels, one.spacing, one.axes, one.scaling, one.mask) for one in members}) > 1:
            ways = "; ".join(
                f"{one.name} reads {' and '.join(one.channels)} at {' x '.join(f'{mm:g}' for mm in one.spacing)} mm, "
                f"{one.axes} axes"
                for one in members
            )
            raise ValueError(
                "these tasks cannot share a run, which has one spacing, order of axes and scaling, and one choice of "
                f"channels: {ways}. Run them one by one, each into its own folder"
            )
        return members

    def _named(self, word: Any) -> tuple[Task, ...]:
        """The task of a name or id, or those of a merged name."""
        if hasattr(word, "__index__") and not isinstance(word, bool):
            # A command turns a name such as `1` into a number, and a loader ids into a tensor.
            word = str(operator.index(word))
        for known in self.tasks:
            if known.name == word:
                return (known,)
        if isinstance(word, str) and word.removeprefix("-").isdecimal():
            if word.isdecimal() and int(word) < len(self):
                return (self.tasks[int(word)],)
            raise ValueError(f"task id {word} does not exist: ids run from 0 to {len(self) - 1} ({self.listing()})")
        if isinstance(word, str) and word in self.groups:
            return self.groups[word]
        near = did_you_mean(str(word), self.choices)
        elsewhere = [name for name, entries in _TABLES.items() if any(entry["name"] == word for entry in entries)]
        if elsewhere:
            near = (
                f"it is a task of the table {elsewhere[0]!r} (--tasks_file {elsewhere[0]}, with weights for it); here "
            )
        raise ValueError(f"unknown task {str(word)[:80]!r}: {near}choose one of {self.listing()}")

    def word(self, task: str | int | Sequence[str]) -> str:
        """The name of a selection: a task's, a merged one such as ``all_ct``, or ``liver+spleen``."""
        selected = self.select(task)
        merged = next((name for name, members in self.groups.items() if members == selected), None)
        return merged or "+".join(member.name for member in selected)

    def label_names(self, task: str | int | Sequence[str], values: str = "global") -> dict[int, str]:
        """Label value -> class name of what a task writes, 0 the background.

        Args:
            task: as :meth:`select` takes it.
            values: ``global`` for the values of the union of all tasks, ``task`` for a single task's own 1, 2, ...

        Raises:
            ValueError: no such task or kind of values; a merged task with ``values="task"``.
        """
        selected = self.select(task)
        if values == "global":
            return {0: "background"} | {v: n for one in selected for v, n in zip(one.values, one.classes)}
        if values != "task":
            raise ValueError(f"values is {values!r}, expected 'global' or 'task'")
        if len(selected) > 1:
            raise ValueError(f"a merged map of {len(selected)} tasks has no values of one task: use values='global'")
        return {0: "background"} | {i: name for i, name in enumerate(selected[0].classes, start=1)}

    def one(self, task: str | int) -> Task:
        """Like :meth:`select`, for exactly one task.

        Raises:
            ValueError: if there is no such task, or several.
        """
        selected = self.select(task)
        if len(selected) != 1:
            raise ValueError(f"{task!r} means {len(selected)} tasks where one is needed: {self.listing()}")
        return selected[0]

    def listing(self) -> str:
        """The choices in words; those of a shipped table with the other shipped tables' tasks."""
        own = ", ".join(self.choices)
        shipped = {name: [entry["name"] for entry in entries] for name, entries in _TABLES.items()}
        names = [task.name for task in self.tasks]
        if names not in shipped.values():
            return own
        others = [f"of the table {name!r}: {', '.join(tasks)}" for name, tasks in shipped.items() if tasks != names]
        return "; ".join([own, *others])


def load_task_table(path: str | PathLike[str] | None = None) -> TaskTable:
    """Loads the eleven official tasks, the five ``open`` ones, or the tasks of a JSON file.

    The file holds ``{"extends": "uniseg", "tasks": [...]}``. With ``extends``, which names ``uniseg`` or ``open``, an
    entry with the name of one of its tasks replaces that task and others are appended; without it the table holds the
    entries alone. See :class:`TaskTable` for an entry.

    Args:
        path: the file, or the name of a table: ``uniseg`` (the default) or ``open``.

    Raises:
        ValueError: if the file is not JSON or an entry is wrong; the message names the file.
        FileNotFoundError: if there is no such file.
    """
    if path is None or path in _TABLES:
        return TaskTable(_TABLES[str(path or "uniseg")])
    if not isinstance(path, (str, PathLike)) or not Path(path).is_file():
        raise FileNotFoundError(f"no task table {path}: expected a JSON file, or one of {', '.join(_TABLES)}")
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        if not isinstance(content, dict) or not isinstance(content.get("tasks"), list):
            raise ValueError('expected an object {"extends": "uniseg", "tasks": [...]}')
        base = content.get("extends")
        if not base:
            return TaskTable(content["tasks"])
        if base not in _TABLES:
            raise ValueError(f'"extends" is {base!r}: the tables to extend are {", ".join(_TABLES)}')
        entries = {entry["name"]: entry for entry in _TABLES[base]}
        entries.update({_field(entry, "name"): entry for entry in content["tasks"]})
        return TaskTable(list(entries.values()))
    except ValueError as error:
        raise ValueError(f"task table {path}: {error}") from error


def table_of(task: Any) -> str:
    """Name of the shipped table that has a task, or whose task has the most similar name; ``uniseg`` comes first.

    Args:
        task: as for :meth:`TaskTable.select`. Of several tasks the first decides.
    """
    word = task[0] if isinstance(task, (list, tuple)) and task else task
    if isinstance(word, str):
        word = word.partition(",")[0].strip()
    tables = {name: TaskTable(entries).choices for name, entries in _TABLES.items()}
    names = [choice for choices in tables.values() for choice in choices]
    near = (
        difflib.get_close_matches(word, names, n=1) if isinstance(word, str) else []
    )  # a known name is its own closest match
    return next((name for name, choices in tables.items() if near and near[0] in choices), next(iter(tables)))


def shipped_table(task: Any) -> TaskTable:
    """The shipped table that has a task, see :func:`table_of`."""
    return load_task_table(table_of(task))


def chosen(menu: Any) -> Any:
    """The chosen entry of a config's menu: the first one of a list, any other value itself.

    A config offers its choices as a list (MONAI Label's ``displayable_configs``), which a client's choice replaces.
    :meth:`TaskTable.select` reads a list as several tasks, so that a menu must be resolved here.
    """
    return menu[0] if isinstance(menu, (list, tuple)) and menu else menu


_OPTIONAL = ("values", "axes", "scaling", "mask", "mirror_axes", "max_pieces")


def _read_entry(entry: Mapping[str, Any], index: int, taken: set[int]) -> Task:
    name = _field(entry, "name")
    if not isinstance(name, str) or not name:
        raise ValueError(f"task name is {name!r}, expected a text")
    channels, classes = (_texts(name, field, _field(entry, field)) for field in ("channels", "classes"))
    spacing = _list(name, "spacing", _field(entry, "spacing"))
    unknown = set(entry) - {"name", "channels", "spacing", "classes", *_OPTIONAL}
    if unknown:
        fields = ("name", "channels", "spacing", "classes", *_OPTIONAL)
        near = did_you_mean(sorted(unknown)[0], fields)
        raise ValueError(f"task {name!r} has unknown fields {sorted(unknown)}: {near}fields are {', '.join(fields)}")
    if not channels or not classes:
        raise ValueError(f"task {name!r} needs at least one channel and one class")
    if len(spacing) != 3 or not all(_is_finite(mm) and mm > 0 for mm in spacing):
        raise ValueError(f"task {name!r} has spacing {spacing}: expected three positive numbers, (z, y, x) in mm")
    values = _list(name, "values", entry.get("values") or _free_values(name, len(classes), taken))
    if len(values) != len(classes):
        raise ValueError(f"task {name!r} has {len(classes)} classes and {len(values)} values: give one per class")
    if not all(type(value) is int and 0 < value < 256 for value in values):
        raise ValueError(f"task {name!r} has values {values}: expected whole numbers from 1 to 255")
    axes, mask = entry.get("axes", AXES[0]), entry.get("mask", MASKS[0])
    if axes not in AXES or mask not in MASKS:
        raise ValueError(
            f"task {name!r} has axes {axes!r} and mask {mask!r}: expected one of {', '.join(AXES)} and one of "
            f"{', '.join(MASKS)}"
        )
    mirror_axes = _list(name, "mirror_axes", entry.get("mirror_axes", _default_mirror_axes(classes, axes)))
    if not all(type(axis) is int and axis in (0, 1, 2) for axis in mirror_axes) or len(set(mirror_axes)) < len(
        mirror_axes
    ):
        raise ValueError(
            f"task {name!r} has mirror_axes {list(mirror_axes)}: expected any of 0 (z), 1 (y), 2 (x), each once"
        )
    return Task(
        index,
        name,
        channels,
        (float(spacing[0]), float(spacing[1]), float(spacing[2])),
        classes,
        values,
        axes,
        _read_scaling(name, channels, entry.get("scaling")),
        mask,
        mirror_axes,
        _read_max_pieces(name, classes, entry.get("max_pieces", {})),
    )


def _list(name: str, field: str, given: Any) -> tuple[Any, ...]:
    """The members of a list. A text is none: it would be taken apart into its letters."""
    if not isinstance(given, (list, tuple)):
        raise ValueError(f"task {name!r} has {field} {given!r}: expected a list, as [{json.dumps(given, default=str)}]")
    return tuple(given)


def _texts(name: str, field: str, given: Any) -> tuple[str, ...]:
    members = _list(name, field, given)
    if not all(isinstance(member, str) and member for member in members):
        raise ValueError(f"task {name!r} has {field} {given!r}: expected a list of texts")
    return members


def _is_finite(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _free_values(name: str, count: int, taken: set[int]) -> tuple[int, ...]:
    """The values after the highest one of earlier tasks; from there on to 255, else the lowest free ones."""
    first = max(taken, default=0) + 1
    if first + count <= 256:
        return tuple(range(first, first + count))
    free = [value for value in range(1, 256) if value not in taken]
    if len(free) < count:
        raise ValueError(
            f"task {name!r} has {count} classes, and of the label values 1 to 255 only {len(free)} are free"
        )
    return tuple(free[:count])


def _read_max_pieces(name: str, classes: Sequence[str], given: Mapping[str, int]) -> tuple[int, ...]:
    if not isinstance(given, Mapping) or not all(
        key in classes and type(count) is int and count >= 0 for key, count in given.items()
    ):
        raise ValueError(
            f"task {name!r} has max_pieces {given}: expected whole numbers for some of its classes {', '.join(classes)}"
        )
    return tuple(given.get(key, 0) for key in classes)


def sided_classes(classes: Sequence[str]) -> list[str]:
    """The classes that differ by their side, such as ``left_kidney``, ``LKidney``, ``kidney_l`` or ``kidney_lt``.

    Chambers of the heart are named after a side but differ in shape: they are not included. Vertebrae such as ``L1``
    have no side; where there is a class with ``r1`` or the like too, ``l1`` has one.
    """
    numbered = any(re.search(r"(?<![a-z])r\d", name.lower()) for name in classes)
    words = {name: _words(name, numbered) for name in classes}
    return [name for name in classes if _SIDES & set(words[name]) and not _is_chamber(words[name])]


_SIDES = {"left", "right", "lt", "rt", "l", "r"}


def _words(name: str, numbered_sides: bool = False) -> list[str]:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)  # LeftKidney
    spaced = re.sub(r"\b([LR])(?=[A-Z][a-z])", r"\1 ", spaced.replace("_", " "))  # LKidney, not LV
    if not numbered_sides:
        spaced = re.sub(r"\b[LRlr]\d", " ", spaced)  # vertebrae
    return re.findall(r"(?<![a-z])[a-z]+", spaced.lower())


def _is_chamber(words: Sequence[str]) -> bool:
    return "lateral" not in words and any(word.startswith(("ventric", "atri")) for word in words)


def _default_mirror_axes(classes: Sequence[str], axes: str) -> tuple[int, ...]:
    """All axes; without the left-right axis where classes differ by side; none where that axis is unknown."""
    if not sided_classes(classes):
        return (0, 1, 2)
    return (0, 1) if axes == "anatomical" else ()


def _read_scaling(name: str, channels: Sequence[str], given: Sequence[Mapping[str, Any]] | None) -> tuple[Scaling, ...]:
    if given is None:
        given = [_CT if channel.upper() == "CT" else _Z_SCORE for channel in channels]
    given = _list(name, "scaling", given)
    if len(given) != len(channels):
        raise ValueError(f"task {name!r} has scaling for {len(given)} channels, it reads {len(channels)}")
    for one in given:
        numbers = SCHEMES.get(str(one.get("scheme"))) if isinstance(one, Mapping) else None
        if numbers is None or set(one) != {"scheme", *numbers}:
            schemes = "; ".join(f"{scheme} with {', '.join(names) or 'nothing'}" for scheme, names in SCHEMES.items())
            raise ValueError(f"task {name!r} has scaling {one}: expected one of {schemes}")
        if not all(_is_finite(one[key]) for key in numbers):
            raise ValueError(f"task {name!r} has scaling {one}: expected finite numbers for {', '.join(numbers)}")
        if numbers and not (one["low"] < one["high"] and one.get("std", 1) > 0):
            raise ValueError(f"task {name!r} has scaling {one}: low must be below high, and std positive")
    return tuple(Scaling(**one) for one in given)


def _field(entry: Mapping[str, Any], name: str) -> Any:
    if not isinstance(entry, Mapping) or name not in entry:
        raise ValueError(f"task entry {entry!r} lacks the field {name!r}")
    return entry[name]


def _refuse_twins(what: str, names: Sequence[str]) -> None:
    twins = sorted({name for name in names if names.count(name) > 1})
    if twins:
        raise ValueError(f"{what} {', '.join(twins)} occurs more than once")
