"""Batches of one task each, every task with an equal share of an epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from torch.utils.data import Sampler

__all__ = ["TaskBatchSampler"]


class TaskBatchSampler(Sampler[list[int]]):
    """Index batches, each of cases of one task; tasks in random order until each has had its share.

    This is the official upstream schedule (Ye et al. 2023: 50 iterations a task and epoch). Cases are drawn without
    replacement until a task's are used up, then anew.

    Args:
        cases: the datalist; each has a ``task``.
        batch_size: cases a batch.
        batches_per_task: batches of each task in an epoch.
        seed: of the order; each epoch continues the stream.

    Raises:
        ValueError: no cases.
    """

    def __init__(
        self, cases: Sequence[Mapping[str, Any]], batch_size: int = 2, batches_per_task: int = 50, seed: int = 0
    ) -> None:
        if not cases:
            raise ValueError("no training cases: the datalist is empty")
        self.batch_size = batch_size
        self.batches_per_task = batches_per_task
        self.members: dict[str, list[int]] = {}
        for index, case in enumerate(cases):
            self.members.setdefault(str(case["task"]), []).append(index)
        self._rng = np.random.default_rng(seed)
        self._waiting: dict[str, list[int]] = {task: [] for task in self.members}

    def __len__(self) -> int:
        return self.batches_per_task * len(self.members)

    def __iter__(self) -> Iterator[list[int]]:
        order = np.repeat(list(self.members), self.batches_per_task)
        for task in self._rng.permutation(order):
            yield [self._draw(str(task)) for _ in range(self.batch_size)]

    def _draw(self, task: str) -> int:
        if not self._waiting[task]:
            self._waiting[task] = list(self._rng.permutation(self.members[task]))
        return int(self._waiting[task].pop())
