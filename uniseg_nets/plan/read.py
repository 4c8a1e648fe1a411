"""Reads the file of a plan, without importing what makes one."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from uniseg_nets.io.files import read_json

__all__ = ["read_plan"]


def read_plan(path: str | PathLike[str]) -> dict[str, Any]:
    """The content of a plan.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is no JSON, or no plan; the message names it.
    """
    plan = read_json(Path(path))
    if "task_entry" not in plan:
        raise ValueError(f"{path} is no plan: it lacks task_entry; `uniseg plan` writes one")
    return plan
