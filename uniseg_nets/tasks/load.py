"""Finds the task table of a name, a file or a task."""

from __future__ import annotations

import difflib
import json
from os import PathLike
from pathlib import Path
from typing import Any

from uniseg_nets.tasks.entry import field_of
from uniseg_nets.tasks.shipped import TABLES
from uniseg_nets.tasks.table import TaskTable

__all__ = ["chosen", "load_task_table", "shipped_table", "table_of"]


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
    if path is None or path in TABLES:
        return TaskTable(TABLES[str(path or "uniseg")])
    if not isinstance(path, (str, PathLike)) or not Path(path).is_file():
        raise FileNotFoundError(f"no task table {path}: expected a JSON file, or one of {', '.join(TABLES)}")
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        if not isinstance(content, dict) or not isinstance(content.get("tasks"), list):
            raise ValueError('expected an object {"extends": "uniseg", "tasks": [...]}')
        base = content.get("extends")
        if not base:
            return TaskTable(content["tasks"])
        if base not in TABLES:
            raise ValueError(f'"extends" is {base!r}: the tables to extend are {", ".join(TABLES)}')
        entries = {entry["name"]: entry for entry in TABLES[base]}
        entries.update({field_of(entry, "name"): entry for entry in content["tasks"]})
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
    tables = {name: TaskTable(entries).choices for name, entries in TABLES.items()}
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
