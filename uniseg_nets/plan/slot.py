"""Chooses the slot: the task of the pretrained network whose prompt a fine-tuning starts from."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from uniseg_nets.tasks import Task, TaskTable, load_task_table

__all__ = ["NEAREST", "NO_SLOT", "check_slot", "nearest_slot"]

logger = logging.getLogger(__name__)

NEAREST, NO_SLOT = "nearest", "none"
# Task tables with known names.
_TABLES = ("uniseg", "open")


def check_slot(wanted: str | int | None, num_tasks: int) -> str | int:
    """The slot of a user as an id of the weights, ``nearest`` or ``none``.

    Args:
        wanted: an id, a task's name if the weights are of a known table, ``nearest``, or ``none`` for a network without
            prompt.
        num_tasks: number of tasks of the pretrained weights.

    Raises:
        ValueError: if the weights have no such task.
    """
    if wanted is None or wanted in (NEAREST, NO_SLOT):
        return wanted or NO_SLOT
    if isinstance(wanted, str) and not wanted.isdecimal():
        table = _table(num_tasks)
        if table is None:
            raise ValueError(
                f"slot is {wanted!r}, but the weights have {num_tasks} tasks, unlike every table of this project: "
                f"give the task's id, 0 to {num_tasks - 1}"
            )
        return table.one(wanted).id
    if not 0 <= int(wanted) < num_tasks:
        raise ValueError(f"slot is {wanted}, the weights have tasks 0 to {num_tasks - 1}: give one of these ids")
    return int(wanted)


def nearest_slot(channels: Sequence[str], classes: Sequence[str], num_tasks: int) -> int:
    """The id of the task that is most similar to the data; 0 if the weights are of an unknown table.

    Tasks are compared by the number of channels, then CT against other modalities, then common class names, then
    channel names. Of equal tasks the lowest id is chosen.

    Args:
        channels: modalities of the data, in order.
        classes: class names of the data.
        num_tasks: number of tasks of the pretrained weights.
    """
    table = _table(num_tasks)
    names = {name.lower() for name in classes}

    def distance(task: Task) -> tuple[int, int, int, int]:
        other_kinds = sum((known == "CT") != (own == "CT") for known, own in zip(task.channels, channels))
        other_names = sum(known.lower() != own.lower() for known, own in zip(task.channels, channels))
        return abs(len(task.channels) - len(channels)), other_kinds, -len(names & set(task.classes)), other_names

    return min(table, key=distance).id if table else 0


def _table(num_tasks: int) -> TaskTable | None:
    """The task table of weights. A checkpoint has no task names: the number of tasks decides, which is logged."""
    for name in _TABLES:
        table = load_task_table(name)
        if len(table) == num_tasks:
            logger.info(
                "the weights have %d tasks and are taken for those of table %r; if they are of another table, give the "
                "slot's id (--slot)",
                num_tasks,
                name,
            )
            return table
    return None
