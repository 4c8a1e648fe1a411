"""Writes the file of a plan, which replaces nothing but the same plan."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from uniseg_nets.io.files import atomic_path
from uniseg_nets.io.messages import listing
from uniseg_nets.io.plain import plain_data
from uniseg_nets.plan.read import read_plan
from uniseg_nets.tasks import TaskTable

__all__ = ["refuse_to_replace", "write_plan"]


def refuse_to_replace(output: Path) -> None:
    """Refuses to overwrite what is no plan, such as the data set's own JSON."""
    if not output.is_file():
        return
    try:
        read_plan(output)
    except ValueError as error:
        raise ValueError(f"{output} is there and is no plan: choose another file for the plan") from error


def write_plan(plan: Mapping[str, Any], output: Path, root: Path) -> None:
    """Writes a plan, whole or not at all.

    Args:
        plan: the plan.
        output: the file.
        root: folder of the data set, for messages.

    Raises:
        ValueError: a name would be evaluated by a config, the names make no task, or the output is another plan.
    """
    _refuse_code(plan, root)
    _refuse_entry(plan["task_entry"], root)
    _refuse_another(output, plan)
    with atomic_path(output) as temporary:
        temporary.write_text(_pretty(plan), encoding="utf-8")


def _refuse_another(output: Path, plan: Mapping[str, Any]) -> None:
    """Refuses to overwrite another plan: networks may be trained with it, and a user may have edited it."""
    if not output.is_file():
        return
    there, plan = read_plan(output), json.loads(json.dumps(plan))
    others = [key for key in {**plan, **there} if plan.get(key) != there.get(key)]
    if others:
        raise ValueError(
            f"{output} is there and is another plan, with other {listing(others)}: nothing was written, since networks "
            "need the plan of their training: choose another file for this plan, or move that one away"
        )


def _refuse_code(plan: Mapping[str, Any], root: Path) -> None:
    """Refuses names that a config's parser would evaluate after the plan is laid over a config."""
    try:
        plain_data({key: plan[key] for key in ("task_entry", "data", "fingerprint")})
    except ValueError as error:
        raise ValueError(f"{root}: {error}: rename the case, the channel or the label") from error


def _refuse_entry(entry: Mapping[str, Any], root: Path) -> None:
    """Refuses a task that the configs would refuse, such as two labels of one name."""
    try:
        TaskTable([entry])
    except ValueError as error:
        raise ValueError(f"{root} makes no task, no plan written: {error}") from error


def _pretty(plan: Mapping[str, Any]) -> str:
    """JSON for people: short lists and cases on one line each."""
    lines = []
    for key, value in plan.items():
        if key == "data":
            members = ",\n".join("        " + json.dumps(case) for case in value)
            lines.append(f'    "data": [\n{members}\n    ]')
        elif isinstance(value, dict):
            members = ",\n".join(f"        {json.dumps(name)}: {json.dumps(item)}" for name, item in value.items())
            lines.append(f"    {json.dumps(key)}: {{\n{members}\n    }}")
        else:
            lines.append(f"    {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"
