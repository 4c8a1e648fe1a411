"""Batches of one task each, every task with an equal share of an epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from torch import distributed
from torch.utils.data import Sampler

from uniseg_nets.tasks import TaskTable

__all__ = ["TaskBatchSampler"]


class TaskBatchSampler(Sampler[list[int]]):
    """Index batches, each of cases of one task; tasks in random order until each has had its share.

    This is the official upstream schedule (Ye et al. 2023: 50 iterations a task and epoch). A task's cases are drawn
    without replacement until they are used up, then anew. An epoch's order follows from seed and epoch alone, so that a
    resumed training sees what it would have seen. In a distributed run all ranks serve the same task at a time, each
    with cases of its own: N ranks of batch size B give what one rank of batch size N x B gives.

    Args:
        cases: the datalist; each has a ``task``.
        tasks: the task table.
        batch_size: cases a batch and rank.
        batches_per_task: batches of each task in an epoch.
        mixed: let a batch hold cases of any tasks that read the same number of channels; shares stay equal.
        seed: of the order.

    Raises:
        ValueError: no cases, or a case of no such task.
    """

    def __init__(
        self,
        cases: Sequence[Mapping[str, Any]],
        tasks: TaskTable,
        batch_size: int = 2,
        batches_per_task: int = 50,
        mixed: bool = False,
        seed: int = 0,
    ) -> None:
        if not cases:
            raise ValueError("no training cases: the datalist is empty")
        self.batch_size = batch_size
        self.batches_per_task = batches_per_task
        self.mixed = mixed
        self.seed = seed
        self.epoch = 0
        self.channels: dict[int, int] = {}  # of each task that has cases
        self.members: dict[int, list[int]] = {}
        for index, case in enumerate(cases):
            if "task" not in case:
                raise ValueError(
                    f'case {case.get("name", case)} names no task: add "task" to the datalist, or give --task'
                )
            task = tasks.one(case["task"])
            self.channels[task.id] = len(task.channels)
            self.members.setdefault(task.id, []).append(index)

    def __len__(self) -> int:
        return self.batches_per_task * len(self.members)

    def __iter__(self) -> Iterator[list[int]]:
        rng = np.random.default_rng([self.seed, self.epoch])
        self.epoch += 1
        rank, ranks = _rank()
        waiting: dict[int, list[int]] = {task: [] for task in self.members}
        for batch in self._tasks(rng, self.batch_size * ranks):
            drawn = [self._draw(task, waiting, rng) for task in batch]  # the same on every rank
            yield drawn[rank * self.batch_size : (rank + 1) * self.batch_size]

    def state_dict(self) -> dict[str, int]:
        return {"epoch": self.epoch}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        self.epoch = state["epoch"]

    def _tasks(self, rng: np.random.Generator, size: int) -> list[list[int]]:
        """The tasks of each batch's samples."""
        if not self.mixed:
            order = np.repeat(list(self.members), self.batches_per_task)
            return [[int(task)] * size for task in rng.permutation(order)]
        batches = []
        for count in sorted(set(self.channels.values())):
            group = [task for task in self.members if self.channels[task] == count]
            samples = rng.permutation(np.repeat(group, self.batches_per_task * size))
            batches += samples.reshape(-1, size).tolist()
        return [batches[i] for i in rng.permutation(len(batches))]

    def _draw(self, task: int, waiting: dict[int, list[int]], rng: np.random.Generator) -> int:
        if not waiting[task]:
            waiting[task] = [int(index) for index in rng.permutation(self.members[task])]
        return waiting[task].pop()


def _rank() -> tuple[int, int]:
    """This process's rank and how many there are."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1
