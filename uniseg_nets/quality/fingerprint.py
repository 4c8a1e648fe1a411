"""A fingerprint: the usual ranges of each task's training cases, in a small file beside the weights.

It holds means and standard deviations over many cases. It holds no voxels, no names and no numbers of a single case.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from uniseg_nets.io.files import atomic_path, read_json, sha256_of_weights
from uniseg_nets.quality import words
from uniseg_nets.quality.estimate import FEWEST_OF_TASK, LOW_DICE, DiceEstimate, KnownDice
from uniseg_nets.quality.reference import TaskReference
from uniseg_nets.quality.rows import CaseRow
from uniseg_nets.tasks import TaskTable
from uniseg_nets.version import __version__

__all__ = ["Fingerprint", "carry_fingerprint", "fingerprint_file", "read_fingerprint"]

logger = logging.getLogger(__name__)

_FORMAT = 4


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """The usual ranges of the training cases.

    Attributes:
        tasks: task name -> usual ranges of its cases.
        estimate: regression that estimates the Dice; ``None`` if too few cases had a reference.
    """

    tasks: dict[str, TaskReference]
    estimate: DiceEstimate | None = None

    @classmethod
    def fitted(cls, rows: Iterable[CaseRow], tasks: TaskTable, held: Iterable[CaseRow] = ()) -> Fingerprint:
        """The fingerprint of measured cases. Tasks with too few cases are left out, with a warning.

        A warning also names the tasks for which the weights have a low mean Dice: their verdicts are ``check``.

        Args:
            rows: cases of the training. The usual ranges come from those that were not degraded.
            tasks: the task table.
            held: cases that the training did not use. The Dice is estimated from them, or from ``rows`` if they are
                fewer than an estimate needs. The mean Dice of a task is that of its held-out cases, or that of its
                ``rows`` if fewer than four are held out.

        Raises:
            ValueError: no task has enough cases.
        """
        rows = list(rows)
        references: dict[str, TaskReference] = {}
        for task in tasks:
            own = [row.measured for row in rows if row.task == task.name and not row.worse]
            if not own:
                continue
            try:
                references[task.name] = TaskReference.fitted(
                    task, [one.properties for one in own], [one.measures for one in own]
                )
            except ValueError as error:
                logger.warning("%s: its scans are not compared", error)
        if not references:
            raise ValueError("no task has enough training cases for a fingerprint")
        held = list(held)
        for name, reference in references.items():
            references[name] = reference = replace(reference, dice=_mean_dice(name, held, rows))
            if reference.dice is not None and reference.dice < LOW_DICE:
                logger.warning("%s Every verdict of this task is `check`.", words.poor(name, reference.dice, LOW_DICE))
        estimate = None
        for cases, are_held in ((held, True), (rows, False)):
            if cases and estimate is None:
                estimate = _estimate(cases, references, tasks, are_held)
        return cls(references, estimate)

    def as_json(self) -> dict[str, Any]:
        return {
            "tasks": {name: reference.as_json() for name, reference in self.tasks.items()},
            "estimate": None if self.estimate is None else self.estimate.as_json(),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Fingerprint:
        estimate = content["estimate"]
        return cls(
            {name: TaskReference.from_json(one) for name, one in content["tasks"].items()},
            None if estimate is None else DiceEstimate(**estimate),
        )

    def save(self, weights: str | PathLike[str]) -> Path:
        """Writes the fingerprint beside its weights; returns the file."""
        path = fingerprint_file(weights)
        provenance = {
            "format": _FORMAT,
            "weights_sha256": sha256_of_weights(weights),
            "versions": {"uniseg_nets": __version__},
        }
        with atomic_path(path) as temporary:  # on one line: thousands of numbers
            temporary.write_text(json.dumps(provenance | self.as_json()) + "\n", encoding="utf-8")
        return path


def fingerprint_file(weights: str | PathLike[str]) -> Path:
    """The file of a fingerprint: ``model.pt.fingerprint.json`` beside the weights ``model.pt``."""
    path = Path(weights)
    return path.with_name(f"{path.name}.fingerprint.json")


def read_fingerprint(weights: str | PathLike[str], replacing: bool = False) -> Fingerprint | None:
    """The fingerprint beside weights; ``None`` if there is none, or, with a warning, one of an older
    version or of other weights.

    Args:
        weights: file of the weights.
        replacing: a new one is made now, so that there is nothing to do about an outdated one.

    Raises:
        ValueError: the file is no fingerprint; the message names it.
    """
    path = fingerprint_file(weights)
    if not path.is_file():
        return None
    content = read_json(path)
    try:
        if content["format"] > _FORMAT:
            raise ValueError(f"its format is {content['format']}, this version reads {_FORMAT}")
        for outdated, why in (
            (content["format"] < _FORMAT, "was written by an older version"),
            (content["weights_sha256"] != sha256_of_weights(weights), "belongs to other weights"),
        ):
            if outdated:
                remedy = "it is replaced" if replacing else "make a new one with `uniseg fingerprint`"
                logger.log(logging.INFO if replacing else logging.WARNING, "%s %s: %s", path, why, remedy)
                return None
        return Fingerprint.from_json(content)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no fingerprint ({error}): make a new one with `uniseg fingerprint`") from error


def carry_fingerprint(source: str | PathLike[str], target: str | PathLike[str]) -> Path | None:
    """Writes the fingerprint of weights beside a converted file of the same weights.

    Returns:
        The written file; ``None`` if the source has no fingerprint.
    """
    fingerprint = read_fingerprint(source)
    return None if fingerprint is None else fingerprint.save(target)


def _mean_dice(task: str, *groups: Sequence[CaseRow]) -> float | None:
    """The mean Dice of a task's cases that were not degraded, in the first group with enough of them."""
    for rows in groups:
        known = [row.measured.dice for row in rows if row.task == task and not row.worse]
        dice = [one for one in known if one is not None]
        if len(dice) >= FEWEST_OF_TASK:
            return round(float(np.mean(dice)), 4)
    return None


def _estimate(
    rows: Sequence[CaseRow], references: Mapping[str, TaskReference], tasks: TaskTable, held: bool
) -> DiceEstimate | None:
    known = [
        KnownDice(
            row.task,
            row.patient,
            references[row.task].signs(row.measured.measures, tasks.one(row.task)),
            row.measured.dice,
            row.worse,
        )
        for row in rows
        if row.task in references and row.measured.dice is not None
    ]
    try:
        return DiceEstimate.fitted(known, held)
    except ValueError as error:
        logger.warning("%s of %s: no Dice is estimated from them", error, "held-out data" if held else "the training")
        return None
