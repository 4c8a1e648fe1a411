"""Fits a fingerprint to the cases of a datalist, or at the end of a training."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import nn

from uniseg_nets.data.datalist import load_datalist
from uniseg_nets.io.errors import root_cause
from uniseg_nets.io.messages import listing
from uniseg_nets.quality.cases import CaseMeasurer
from uniseg_nets.quality.fingerprint import Fingerprint, fingerprint_file, read_fingerprint
from uniseg_nets.quality.rows import measured_cases
from uniseg_nets.ranks import is_first_rank, unwrapped
from uniseg_nets.tasks import TaskTable, load_task_table, table_of
from uniseg_nets.weights.checkpoints import read_state

__all__ = ["FingerprintFile", "fit_fingerprint"]

logger = logging.getLogger(__name__)


def fit_fingerprint(
    weights: str | PathLike[str],
    datalist: str | PathLike[str],
    section: str = "training",
    held: str | None = None,
    tasks_file: str | None = None,
    task: str | None = None,
    cases: int = 40,
    label_values: str = "task",
    device: str | torch.device | None = None,
) -> tuple[Path, Fingerprint]:
    """Measures cases of a datalist and writes the fingerprint beside the weights.

    Args:
        weights: a UniSeg checkpoint.
        datalist: datalist of the training.
        section: section of the datalist with the cases of the training.
        held: section with cases that the training did not use, from which the Dice is estimated.
        tasks_file: task table of the weights; by default the one that has the task of the first case.
        task: the task to use, also that of cases that name none; by default the task of each case.
        cases: number of cases per task.
        label_values: values in the label files, as for :class:`~uniseg_nets.transforms.OwnLabelValuesd`.
        device: device of the network; by default a GPU if there is one.

    Returns:
        The file and the fingerprint.

    Raises:
        FileNotFoundError: the weights or the datalist do not exist.
        ValueError: the section or a task is unknown, a case names none, the weights are for another number of tasks, no
            task has enough cases, or the present fingerprint of these weights has further tasks.
    """
    if task is not None:
        load_task_table(tasks_file or table_of(task)).one(task)
    entries = load_datalist(datalist, section, task=task)
    held_out = [] if held is None else load_datalist(datalist, held, task=task)
    for name, option, found in ((section, "--section", entries), (held, "--held", held_out)):
        if name is not None and not found:
            raise ValueError(f"section {name!r} of {datalist} has no cases: name one that has ({option})")
    table = load_task_table(tasks_file or table_of(entries[0].get("task", task)))
    nameless = [entry["name"] for entry in [*entries, *held_out] if "task" not in entry]
    if nameless:
        raise ValueError(f'no task for {listing(nameless)}: add "task" to each case of {datalist}, or give --task')
    own = {table.one(entry["task"]).name for entry in entries}
    for entry in held_out:
        table.one(entry["task"])
    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    measurer = CaseMeasurer.of_weights(weights, table, device=torch.device(chosen))
    _refuse_loss(weights, own)
    rows, held_rows = (
        measured_cases(members, measurer, cases, label_values=label_values) for members in (entries, held_out)
    )
    fingerprint = Fingerprint.fitted(rows, table, held_rows)
    return fingerprint.save(weights), fingerprint


def _refuse_loss(weights: str | PathLike[str], tasks: Collection[str]) -> None:
    """Refuses to replace a fingerprint of the same weights that has further tasks, whose verdicts need it."""
    try:
        known = read_fingerprint(weights, replacing=True)
    except ValueError:
        return
    lost = [] if known is None else [name for name in known.tasks if name not in tasks]
    if lost:
        raise ValueError(
            f"{fingerprint_file(weights)} has the tasks {listing(lost)} too, and would lose them: give a datalist of "
            "all tasks, or copy the weights to a folder of their own"
        )


class FingerprintFile:
    """Writes the fingerprint of the final weights at the end of a training.

    Only rank 0 measures. Errors are logged and do not stop the training.

    Args:
        network: the trained network. It gets the weights of the file during the measurement, and its own ones back.
        weights: file of the final weights.
        cases: training cases, each with ``image``, ``label`` and ``task``.
        tasks: the task table.
        patch_size: window (z, y, x).
        limit: maximum number of cases per task; 0 for no fingerprint.
        held: validation cases, from which the Dice is estimated.
        label_values: values in the label files, as for :class:`~uniseg_nets.transforms.OwnLabelValuesd`.
    """

    def __init__(
        self,
        network: nn.Module,
        weights: str | PathLike[str],
        cases: Sequence[Mapping[str, Any]],
        tasks: TaskTable,
        patch_size: Sequence[int],
        limit: int = 20,
        held: Sequence[Mapping[str, Any]] = (),
        label_values: str = "task",
    ) -> None:
        self.network = network
        self.weights = Path(weights)
        self.cases = cases
        self.tasks = tasks
        self.patch_size = patch_size
        self.limit = limit
        self.held = held
        self.label_values = label_values

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.COMPLETED, self._write)

    def _write(self, engine: Engine) -> None:
        if not is_first_rank() or not self.limit:
            return
        network = unwrapped(self.network)
        last = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        training = network.training
        try:
            network.load_state_dict(read_state(self.weights)[0])
            by_task = [Counter(case.get("task") for case in cases).values() for cases in (self.cases, self.held)]
            logger.info(
                "%s are final; %d cases are measured for their fingerprint (fingerprint_cases)",
                self.weights,
                sum(min(count, self.limit) for counts in by_task for count in counts),
            )
            measurer = CaseMeasurer(network.eval(), self.tasks, self.patch_size)
            rows, held = (
                measured_cases(cases, measurer, self.limit, self.limit // 2, self.label_values)
                for cases in (self.cases, self.held)
            )
            fingerprint = Fingerprint.fitted(rows, self.tasks, held)
            logger.info("fingerprint written to %s", fingerprint.save(self.weights))
        except Exception as error:  # the training is done: nothing that fails now may end it with an error
            logger.warning("no fingerprint: %s", root_cause(error))
        finally:
            network.load_state_dict(last)
            network.train(training)
