"""Checks the values that replace those of a bundle's config: their names, their types, and that a task is chosen."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Any

from uniseg_nets.io.messages import did_you_mean
from uniseg_nets.tasks import TaskTable, load_task_table

__all__ = [
    "known_table",
    "refuse_open_task",
    "refuse_unknown",
    "refuse_without_tasks",
    "refuse_wrong_types",
    "refuse_wrong_weights",
]


def refuse_unknown(names: Iterable[str], config: Mapping[str, Any], bundle: str) -> None:
    """Refuses names that a bundle's config lacks; ``network_def`` of ``network_def#base_features`` must be there.

    Raises:
        ValueError: a name is unknown; the message has the nearest one.
    """
    known = {_first(name) for name in config}
    unknown = [name for name in names if _first(name) not in known]
    if unknown:
        near = did_you_mean(_first(unknown[0]), sorted(known)) or "leave it out"
        raise ValueError(f"bundle {bundle} has no {', '.join(unknown)}: {near.strip()}")


def refuse_wrong_types(overrides: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Refuses values of another type than the config's: a text for a switch, which would count as true, or ``None``.

    Raises:
        ValueError: a switch is neither true nor false, a number is no number, or another value is ``None``.
    """
    for name, value in overrides.items():
        default = _resolved(config, name)
        if isinstance(default, bool) and not isinstance(value, bool):
            raise ValueError(f"{name} is {value!r}, expected True or False")
        if _is_number(default) and not _is_number(value):
            raise ValueError(f"{name} is {value!r}, expected a number such as {default}")
        if value is None and default is not None and name != "task":  # a missing task has a message of its own
            raise ValueError(f"{name} is None: leave it out for the bundle's own, or name a value")


def refuse_without_tasks(config: Mapping[str, Any], bundle: str) -> None:
    """Refuses a bundle without a task table, such as one for 2D images.

    Raises:
        ValueError: the config has no table.
    """
    if "tasks" not in config:
        raise ValueError(f"bundle {bundle} does not segment 3D scans; for 2D images use `uniseg segment-2d`")


def refuse_wrong_weights(weights: Any, config: Mapping[str, Any]) -> None:
    """Refuses weights that are no file, and several files for a bundle that is no ensemble.

    Args:
        weights: a file, or several.
        config: the bundle's; its own ``weights`` are a list, or a part that lists files, if it takes several.

    Raises:
        ValueError: the weights are wrong.
    """
    files = list(weights) if isinstance(weights, (list, tuple)) else [weights]
    if not files or not all(isinstance(file, (str, PathLike)) for file in files):
        raise ValueError(f"weights is {weights!r}, expected the path of a file")
    if len(files) > 1 and isinstance(config.get("weights"), str):
        raise ValueError(f"weights names {len(files)} files, this bundle takes one: name one of them")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _resolved(config: Mapping[str, Any], name: str) -> Any:
    """The value of a name in a config, with references followed."""
    value: Any = config
    for part in name.split("#"):
        value = value.get(part) if isinstance(value, Mapping) else None
    return _resolved(config, value[1:]) if isinstance(value, str) and re.fullmatch(r"@[\w#]+", value) else value


def _first(name: str) -> str:
    return re.split("#|::", name)[0]


def refuse_open_task(config: Mapping[str, Any], how: str) -> None:
    """Refuses a config without a chosen task: its task is still the menu, and a run would take the first entry.

    Args:
        config: the config, merged with everything that was chosen.
        how: how a task is named, such as ``task=...``.

    Raises:
        ValueError: no task was chosen; the message lists the tasks if the table is known.
    """
    task = config.get("task", "")
    if task is None or isinstance(task, Mapping):
        table = known_table(config)
        choices = f" (one of {table.listing()})" if table else ""
        raise ValueError(f"say with {how} what to segment{choices}")


def known_table(config: Mapping[str, Any]) -> TaskTable | None:
    """The task table of a config; ``None`` if the config must be evaluated to know it.

    Raises:
        FileNotFoundError: the table does not exist.
        ValueError: the table is wrong.
    """
    if "task_entry" in config:
        return TaskTable([config["task_entry"]])
    file = config.get("tasks_file")
    return None if isinstance(file, str) and file.startswith(("$", "@", "%")) else load_task_table(file)
