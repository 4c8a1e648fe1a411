"""Measures cases with a reference, as they are and degraded, for the fit of a fingerprint."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from uniseg_nets.data.groups import group_of
from uniseg_nets.quality.cases import CaseMeasurer, Measured
from uniseg_nets.quality.degrade import degraded
from uniseg_nets.transforms.labels import OwnLabelValuesd
from uniseg_nets.transforms.load import LoadCased

__all__ = ["CaseRow", "measured_cases"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class CaseRow:
    """A measured case.

    Attributes:
        task: name of its task.
        patient: see :func:`~uniseg_nets.data.groups.group_of`.
        worse: whether the scan was degraded on purpose.
        measured: the measurements.
    """

    task: str
    patient: str
    worse: bool
    measured: Measured


def measured_cases(
    cases: Sequence[Mapping[str, Any]],
    measurer: CaseMeasurer,
    limit: int = 40,
    worse: int = 20,
    label_values: str = "task",
    seed: int = 0,
) -> Iterator[CaseRow]:
    """Measures cases of a datalist, each with ``image``, ``label`` and ``task``.

    Args:
        cases: the cases; they need no ``task`` if the table has only one.
        measurer: runs the network.
        limit: maximum number of cases per task, drawn at random.
        worse: number of these cases per task that are measured a second time, degraded.
        label_values: values in the label files, as for :class:`~uniseg_nets.transforms.OwnLabelValuesd`.
        seed: seed of the draws.

    Yields:
        One row per measurement. Cases that cannot be read are left out, with a warning.
    """
    tasks = measurer.tasks
    load_image, load_label = LoadCased("image", tasks=tasks), LoadCased("label")
    own_values = OwnLabelValuesd("label", tasks, label_values)
    rng = np.random.default_rng(seed)
    by_task: dict[str, list[Mapping[str, Any]]] = {}
    for case in cases:
        name = case["task"] if len(tasks) > 1 else tasks.tasks[0].name
        by_task.setdefault(tasks.one(name).name, []).append(case)
    chosen = [
        (task, own[index], position < worse)
        for task, own in by_task.items()
        for position, index in enumerate(rng.permutation(len(own))[:limit].tolist())
    ]
    bar = tqdm(chosen, desc="fingerprint", unit="case", leave=False, disable=None)  # None: only a terminal shows it
    for position, (task, case, also_worse) in enumerate(bar):
        try:
            loaded = own_values(load_label(load_image({**case, "task": task})))
            given = {key: loaded[key] for key in ("image", "label")}
            yield CaseRow(task, group_of(case), False, measurer(given, task))
            if also_worse:
                given["image"] = degraded(given["image"], seed + position)
                yield CaseRow(task, group_of(case), True, measurer(given, task))
        except (ValueError, OSError) as error:
            logger.warning("%s left out of the fingerprint: %s", case["name"], error)
