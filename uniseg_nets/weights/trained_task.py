"""The task that a network was fine-tuned for: ``FILE.task.json`` beside its weights.

The one rule: a network computes with the preprocessing, the classes and the prompt of its training.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from os import PathLike
from typing import Any

from uniseg_nets.io.messages import listing
from uniseg_nets.tasks import Task, TaskTable
from uniseg_nets.weights.beside import read_beside, write_beside

__all__ = ["mark_task", "other_task", "refuse_other_classes", "refuse_other_task", "task_of", "trained_task"]

_ENDING = "task.json"
# What the network has learnt. The name of the task, the values of the labels, the axes that a prediction mirrors and
# the number of pieces may change after a training.
_LEARNT = ("channels", "spacing", "classes", "axes", "scaling", "mask")


def trained_task(entry: Mapping[str, Any], network: Any) -> dict[str, Any]:
    """What is kept of the task of a training, as a plan says it: ``task_entry``, and ``slot`` if there is a prompt.

    Args:
        entry: entry of the task, see :class:`~uniseg_nets.tasks.TaskTable`.
        network: the network that is trained.
    """
    slot = getattr(network, "slot", None)
    return {"task_entry": dict(entry)} | ({} if slot is None else {"slot": slot})


def task_of(weights: str | PathLike[str]) -> dict[str, Any] | None:
    """The task that weights were trained for, see :func:`trained_task`.

    Returns:
        The task; ``None`` if nothing beside the file says it, as for weights of all tasks and of earlier versions.

    Raises:
        ValueError: the file beside the weights is damaged; the message names it.
    """
    text = read_beside(weights, _ENDING)
    if text is None:
        return None
    try:
        content: dict[str, Any] = json.loads(text)
        _read(content["task_entry"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{weights}.{_ENDING} is damaged ({error}): copy it again, or delete it") from error
    return content


def mark_task(weights: str | PathLike[str], task: Mapping[str, Any] | None) -> None:
    """Writes beside a new weights file what :func:`task_of` reads, or deletes that of the file that it replaced."""
    write_beside(weights, _ENDING, None if task is None else json.dumps(task, indent=4) + "\n")


def refuse_other_task(weights: str | PathLike[str], entry: Mapping[str, Any] | None, slot: int | None = None) -> None:
    """Refuses to use weights for another task than that of their training. Weights without a mark are taken.

    Args:
        weights: the file.
        entry: entry of the task, see :class:`~uniseg_nets.tasks.TaskTable`; ``None`` for a network of a whole table.
        slot: the prompt that the network gets; ``None`` for a network without one.

    Raises:
        ValueError: channels, spacing (z, y, x in mm), classes, axes, scaling, mask or slot are others (all named), or
            the network is one of a whole table.
    """
    trained = task_of(weights)
    if trained is None:
        return
    if entry is None:
        raise ValueError(
            f"{weights} was fine-tuned for {listing(trained['task_entry']['classes'])} and knows no task of a table: "
            "segment with its plan, `--plan PLAN` of `uniseg segment`, or pack it with `uniseg pack`"
        )
    others = other_task(trained, entry, slot)
    if others:
        raise ValueError(
            f"{weights} was trained with {others}: use the plan that it was trained with, `--plan "
            f"PLAN` of `uniseg segment`; if the task was changed on purpose, delete {weights}.{_ENDING}"
        )


def other_task(trained: Mapping[str, Any], entry: Mapping[str, Any], slot: int | None = None) -> str:
    """What a task has learnt otherwise than another one says, in words; an empty text if it is the same.

    Args:
        trained: the task of a training, see :func:`trained_task`.
        entry, slot: the other one, as for :func:`refuse_other_task`.
    """
    then, now = _read(trained["task_entry"]), _read(entry)
    pairs = {field: (getattr(then, field), getattr(now, field)) for field in _LEARNT}
    if slot is not None and "slot" in trained:
        pairs["slot"] = (trained["slot"], slot)
    return "; with ".join(
        f"{field} {_shown(was)}, not {_shown(now)}" for field, (was, now) in pairs.items() if was != now
    )


def refuse_other_classes(weights: str | PathLike[str], entry: Mapping[str, Any]) -> None:
    """Refuses weights whose heads have not learnt the classes of a task, in their order.

    Raises:
        ValueError: the weights were trained for other classes, or nothing beside them says for which.
    """
    trained, wanted = task_of(weights), _read(entry).classes
    known = None if trained is None else _read(trained["task_entry"]).classes
    if known != wanted:
        learnt = "of classes that nothing beside it names" if known is None else f"of {listing(known)}"
        raise ValueError(
            f"{weights} has heads {learnt}, and the plan has the classes {listing(wanted)}: a packed bundle learns "
            "further from its own weights, with the same labels in the same order: plan with `uniseg plan DATA "
            "--weights none` (and `--labels`); for other labels or from other weights, train with uniseg_finetune"
        )


def _read(entry: Mapping[str, Any]) -> Task:
    return TaskTable([entry]).tasks[0]


def _shown(value: Any) -> str:
    return json.dumps(value, default=vars)
