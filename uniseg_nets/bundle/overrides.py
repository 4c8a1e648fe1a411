"""Values that replace those of a bundle's config: their names are known, and a task is chosen."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from uniseg_nets.io.messages import did_you_mean
from uniseg_nets.tasks import TaskTable, load_task_table

__all__ = ["known_table", "refuse_open_task", "refuse_unknown", "refuse_wrong_types"]


def refuse_unknown(names: Iterable[str], config: Mapping[str, Any], bundle: str) -> None:
    """Refuses names that a bundle's config lacks; of ``network_def#base_features`` the first part counts.

    Raises:
        ValueError: a name is unknown; the nearest one is named.
    """
    known = {_first(name) for name in config}
    unknown = [name for name in names if _first(name) not in known]
    if unknown:
        near = did_you_mean(_first(unknown[0]), sorted(known)) or "leave it out"
        raise ValueError(f"bundle {bundle} has no {', '.join(unknown)}: {near.strip()}")


def refuse_wrong_types(overrides: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Refuses text where a config has a switch or a number: any text would count as true.

    Raises:
        ValueError: a value is neither true nor false, or no number, where one of these is expected.
    """
    for name, value in overrides.items():
        default = _resolved(config, name)
        if isinstance(default, bool) and not isinstance(value, bool):
            raise ValueError(f"{name} is {value!r}, expected True or False")
        if _is_number(default) and not _is_number(value):
            raise ValueError(f"{name} is {value!r}, expected a number such as {default}")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _resolved(config: Mapping[str, Any], name: str) -> Any:
    """A config's value; of a reference to another one, that one's."""
    value: Any = config
    for part in name.split("#"):
        value = value.get(part) if isinstance(value, Mapping) else None
    return _resolved(config, value[1:]) if isinstance(value, str) and re.fullmatch(r"@[\w#]+", value) else value


def _first(name: str) -> str:
    return re.split("#|::", name)[0]


def refuse_open_task(config: Mapping[str, Any], how: str) -> None:
    """Refuses a config whose task nobody has chosen: it is still the menu, of which a run takes the first entry.

    Args:
        config: with everything laid over it that was chosen.
        how: how a task is named, such as ``task=...``.

    Raises:
        ValueError: no task was chosen; the message lists those of the table, where it is known.
    """
    task = config.get("task", "")
    if task is None or isinstance(task, Mapping):
        table = known_table(config)
        choices = f" (one of {', '.join(table.choices)})" if table else ""
        raise ValueError(f"say with {how} what to segment{choices}")


def known_table(config: Mapping[str, Any]) -> TaskTable | None:
    """The task table of a config, where it is known without evaluating it.

    Raises:
        FileNotFoundError, ValueError: no such table, or a wrong one.
    """
    if "task_entry" in config:
        return TaskTable([config["task_entry"]])
    file = config.get("tasks_file")
    return None if isinstance(file, str) and file.startswith(("$", "@", "%")) else load_task_table(file)
