"""The task table: an ordered set of tasks, and how a selection of them is named."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from uniseg_nets.io.messages import did_you_mean
from uniseg_nets.tasks.entry import read_entry
from uniseg_nets.tasks.shipped import TABLES
from uniseg_nets.tasks.task import Task

__all__ = ["TaskTable"]


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
            tasks.append(read_entry(entry, len(tasks), {value for task in tasks for value in task.values}))
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
        elsewhere = [name for name, entries in TABLES.items() if any(entry["name"] == word for entry in entries)]
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
        shipped = {name: [entry["name"] for entry in entries] for name, entries in TABLES.items()}
        names = [task.name for task in self.tasks]
        if names not in shipped.values():
            return own
        others = [f"of the table {name!r}: {', '.join(tasks)}" for name, tasks in shipped.items() if tasks != names]
        return "; ".join([own, *others])


def _refuse_twins(what: str, names: Sequence[str]) -> None:
    twins = sorted({name for name in names if names.count(name) > 1})
    if twins:
        raise ValueError(f"{what} {', '.join(twins)} occurs more than once")
