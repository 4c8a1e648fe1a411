"""A fingerprint: the usual ranges of each task's training cases, in a small file beside the weights.

It holds means and standard deviations over many cases. It holds no voxels, no names and no numbers of a single case.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from uniseg_nets.io.files import atomic_path, read_json, sha256_of_weights
from uniseg_nets.quality.estimate import DiceEstimate
from uniseg_nets.quality.reference import TaskReference
from uniseg_nets.quality.training import TrainingRow
from uniseg_nets.tasks import TaskTable
from uniseg_nets.version import __version__

__all__ = ["Fingerprint", "carry_fingerprint", "fingerprint_file", "read_fingerprint"]

logger = logging.getLogger(__name__)

_FORMAT = 2


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
    def fitted(cls, rows: Iterable[TrainingRow], tasks: TaskTable) -> Fingerprint:
        """The fingerprint of measured training cases. Tasks with too few cases are left out, with a warning.

        Raises:
            ValueError: no task has enough cases.
        """
        rows = list(rows)
        references: dict[str, TaskReference] = {}
        for task in tasks:
            own = [row.measured for row in rows if row.task == task.name and not row.worse]
            if not own:
                continue
            dice = [one.dice for one in own if one.dice is not None]
            try:
                references[task.name] = TaskReference.fitted(
                    task, [one.properties for one in own], [one.measures for one in own], dice
                )
            except ValueError as error:
                logger.warning("%s: its scans are not compared", error)
        if not references:
            raise ValueError("no task has enough training cases for a fingerprint")
        return cls(references, _estimate(rows, references))

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


def read_fingerprint(weights: str | PathLike[str]) -> Fingerprint | None:
    """The fingerprint beside weights; ``None`` if there is none, or one of other weights (with a warning).

    Raises:
        ValueError: the file is no fingerprint; the message names it.
    """
    path = fingerprint_file(weights)
    if not path.is_file():
        return None
    content = read_json(path)
    try:
        if content["format"] != _FORMAT:
            raise ValueError(f"its format is {content['format']}, expected {_FORMAT}")
        if content["weights_sha256"] != sha256_of_weights(weights):
            logger.warning("%s belongs to other weights: make a new one with `uniseg fingerprint`", path)
            return None
        return Fingerprint.from_json(content)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no fingerprint ({error}): make a new one with `uniseg fingerprint`") from error


def carry_fingerprint(source: str | PathLike[str], target: str | PathLike[str]) -> Path | None:
    """Writes the fingerprint of weights beside a converted file of the same weights.

    Returns:
        The written file; ``None`` if the source has no fingerprint.
    """
    fingerprint = read_fingerprint(source)
    return None if fingerprint is None else fingerprint.save(target)


def _estimate(rows: list[TrainingRow], references: Mapping[str, TaskReference]) -> DiceEstimate | None:
    signs, levels, dice = [], [], []
    for row in rows:
        reference = references.get(row.task)
        if reference is not None and reference.dice is not None and row.measured.dice is not None:
            signs.append(reference.signs(row.measured.properties, row.measured.measures))
            levels.append(reference.dice)
            dice.append(row.measured.dice)
    try:
        return DiceEstimate.fitted(signs, levels, dice)
    except ValueError as error:
        logger.warning("%s: no Dice is estimated", error)
        return None
