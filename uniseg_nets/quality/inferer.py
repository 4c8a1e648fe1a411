"""An inferer that measures the network while it computes the scores, for the verdict on the case."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.inferers import Inferer
from torch import Tensor

from uniseg_nets.inferers.sliding_window import added
from uniseg_nets.quality.measure import Measures, label_of, task_measures
from uniseg_nets.quality.network import Watch, WatchedNetwork, members_of, pairwise_dice
from uniseg_nets.tasks import Task, TaskTable
from uniseg_nets.transforms.grid import flipped

__all__ = ["MeasuredInferer"]


class MeasuredInferer(Inferer):
    """Wraps an inferer and measures each case; the scores are those of the wrapped inferer.

    Args:
        inferer: a :class:`~uniseg_nets.inferers.UniSegInferer`, or an :class:`~uniseg_nets.inferers.EnsembleInferer`.
        tasks: the task table.
        task: the task of the wrapped inferer; ``None`` if each call names its task.
        check_flips: compute each case a second time, mirrored along the first axis that its tasks allow, and compare.
            This doubles the work.

    Attributes:
        measures: task name -> measurements of the last call.
    """

    def __init__(
        self,
        inferer: Inferer,
        tasks: TaskTable,
        task: str | int | Sequence[str] | None = None,
        check_flips: bool = False,
    ) -> None:
        super().__init__()
        self.inferer = inferer
        self.table = tasks
        self.task = task
        self.check_flips = check_flips
        self.measures: dict[str, Measures] = {}

    @torch.no_grad()
    def __call__(self, inputs: Tensor, network: Any, *args: Any, **kwargs: Any) -> Tensor:
        """Computes the scores of a scan and sets :attr:`measures`.

        Args:
            inputs: (1, C, z, y, x).
            network: a network, a runtime of one, or a ``ModuleList`` of such.
            args, kwargs: for the wrapped inferer, such as ``task``.

        Returns:
            Scores (1, sum of K, z, y, x), K classes with background per task.

        Raises:
            ValueError: neither the inferer nor the call names a task.
        """
        named: Any = kwargs.get("task", args[0] if args else None)
        named = self.task if named is None else named
        if named is None:
            raise ValueError("no task: name one for the inferer or for the call")
        tasks = self.table.select(named)
        watch, members = Watch(), members_of(network)
        labels: dict[str, list[Any]] = {task.name: [] for task in tasks}
        total: Tensor | None = None
        for member in members:
            watched: Any = WatchedNetwork(member, watch, tasks)
            scores = self.inferer(inputs, watched, *args, **kwargs)
            for task, part in _parts(scores, tasks):
                if len(members) > 1 or self.check_flips:
                    labels[task.name].append(label_of(part, task))
            total = scores if total is None else added(total, scores)
        assert total is not None
        total = total.div_(len(members)) if len(members) > 1 else total
        self.measures = {task.name: task_measures(watch, part, task) for task, part in _parts(total, tasks)}
        if len(members) > 1:
            self._note("members", labels)
        if self.check_flips:
            self._compare_mirrored(inputs, members[0], tasks, labels, args, kwargs)
        return total

    def _compare_mirrored(
        self, inputs: Tensor, network: Any, tasks: Sequence[Task], labels: dict[str, list[Any]], args: Any, kwargs: Any
    ) -> None:
        """Measures the agreement of the first network's label maps with those of the mirrored scan."""
        axes = [axis - 3 for axis in (2, 1, 0) if all(axis in task.mirror_axes for task in tasks)][:1]
        if not axes:
            return
        scores = flipped(self.inferer(flipped(inputs, axes), network, *args, **kwargs), axes)
        pairs = {task.name: [labels[task.name][0], label_of(part, task)] for task, part in _parts(scores, tasks)}
        self._note("flips", pairs)

    def _note(self, name: str, labels: dict[str, list[Any]]) -> None:
        for task, own in labels.items():
            self.measures[task][name] = pairwise_dice(own)


def _parts(scores: Tensor, tasks: Sequence[Task]) -> list[tuple[Task, Tensor]]:
    """Each task with its part (K, z, y, x) of the scores (1, sum of K, z, y, x)."""
    return list(zip(tasks, scores[0].split([task.num_outputs for task in tasks], dim=0)))
