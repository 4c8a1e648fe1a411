"""Batches of one task or modality each, with the same number of batches per task or modality."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from torch.utils.data import Sampler

from uniseg_nets.ranks import own_rank, rank_count
from uniseg_nets.tasks import TaskTable

__all__ = ["GroupBatchSampler", "Sample", "TaskBatchSampler"]


class Sample(int):
    """The index of a case, with the random choices for this sample of it.

    Attributes:
        foreground: whether the patch is placed on a foreground voxel.
        seed: seed of the random transforms. It depends on the sampler's seed, the epoch and the position in it, so that
            a resumed training sees the same patches, with any number of workers.
    """

    foreground: bool
    seed: int

    def __new__(cls, index: int, foreground: bool = False, seed: int = 0) -> Sample:
        sample = super().__new__(cls, index)
        sample.foreground, sample.seed = foreground, seed
        return sample


class GroupBatchSampler(Sampler[list[int]]):
    """Batches of indices, each of one group of cases or mixed, with the same number of batches per group.

    The cases of a group are drawn without replacement until all were used, then again. The order depends on seed and
    epoch alone, so that a resumed training continues the same sequence. In a distributed run all ranks draw from the
    same group at a time, each other cases: N ranks of batch size B equal one rank of batch size N x B.

    Yields lists of :class:`Sample`.

    Args:
        cases: the datalist.
        group_key: item of a case that names its group, such as ``modality``.
        batch_size: cases per batch and rank.
        batches_per_group: batches per group and epoch.
        mixed: allow cases of several groups in a batch; the number of samples per group stays equal.
        seed: random seed of order and samples.
        foreground_share: fraction of the samples whose patch is placed on foreground. It is exact: with 0.5 and batches
            of two it is one of the two, as in the official loader.

    Raises:
        ValueError: if there are no cases, or the fraction is outside 0 to 1.
    """

    def __init__(
        self,
        cases: Sequence[Mapping[str, Any]],
        group_key: str,
        batch_size: int = 2,
        batches_per_group: int = 50,
        mixed: bool = False,
        seed: int = 0,
        foreground_share: float = 0.0,
    ) -> None:
        if not cases:
            raise ValueError("no training cases: the datalist is empty")
        if not 0 <= foreground_share <= 1:
            raise ValueError(f"foreground_share is {foreground_share}, expected a share from 0 to 1")
        self.batch_size = batch_size
        self.batches_per_group = batches_per_group
        self.mixed = mixed
        self.seed = seed
        self.foreground_share = foreground_share
        self.epoch = 0
        self.members: dict[Hashable, list[int]] = {}
        for index, case in enumerate(cases):
            self.members.setdefault(case[group_key], []).append(index)

    def __len__(self) -> int:
        return self.batches_per_group * len(self.members)

    def __iter__(self) -> Iterator[list[Sample]]:  # type: ignore[override]
        rng = np.random.default_rng([self.seed, self.epoch])
        self.epoch += 1
        rank, ranks = own_rank(), rank_count()
        waiting: dict[Hashable, list[int]] = {group: [] for group in self.members}
        for number, batch in enumerate(self._batches(rng, self.batch_size * ranks)):
            indices = [self._draw(group, waiting, rng) for group in batch]  # the same on every rank
            seeds = rng.integers(2**32, size=len(indices)).tolist()
            first = number * len(indices)
            drawn = [
                Sample(index, self._forced(first + place), seed)
                for place, (index, seed) in enumerate(zip(indices, seeds))
            ]
            yield drawn[rank * self.batch_size : (rank + 1) * self.batch_size]

    def _forced(self, position: int) -> bool:
        """Whether the sample at this position of the epoch is placed on foreground; such samples are evenly spread."""
        return int((position + 1) * self.foreground_share) > int(position * self.foreground_share)

    def state_dict(self) -> dict[str, int]:
        return {"epoch": self.epoch}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        self.epoch = state["epoch"]

    def _batches(self, rng: np.random.Generator, size: int) -> list[list[Hashable]]:
        """The groups of each batch's samples."""
        groups = list(self.members)
        if not self.mixed:
            order = rng.permutation(np.repeat(np.arange(len(groups)), self.batches_per_group))
            return [[groups[index]] * size for index in order]
        batches: list[list[Hashable]] = []
        for pool in self._pools():
            samples = rng.permutation(np.repeat([groups.index(group) for group in pool], self.batches_per_group * size))
            batches += [[groups[index] for index in batch] for batch in samples.reshape(-1, size)]
        return [batches[index] for index in rng.permutation(len(batches))]

    def _pools(self) -> list[list[Hashable]]:
        """Sets of groups that may share a batch."""
        return [list(self.members)]

    def _draw(self, group: Hashable, waiting: dict[Hashable, list[int]], rng: np.random.Generator) -> int:
        if not waiting[group]:
            waiting[group] = [int(index) for index in rng.permutation(self.members[group])]
        return waiting[group].pop()


class TaskBatchSampler(GroupBatchSampler):
    """Batches of one task each: the official upstream schedule (Ye et al. 2023: 50 iterations per task and epoch).

    Args:
        cases: the datalist; each case has a ``task``.
        tasks: the task table.
        batch_size: cases per batch and rank.
        batches_per_task: batches per task and epoch.
        mixed: allow cases of several tasks with the same number of channels in a batch; the number of samples per task
            stays equal.
        seed, foreground_share: as for :class:`GroupBatchSampler`.

    Raises:
        ValueError: if there are no cases, a case has an unknown task, or the fraction is outside 0 to 1.
    """

    def __init__(
        self,
        cases: Sequence[Mapping[str, Any]],
        tasks: TaskTable,
        batch_size: int = 2,
        batches_per_task: int = 50,
        mixed: bool = False,
        seed: int = 0,
        foreground_share: float = 0.0,
    ) -> None:
        nameless = next((case for case in cases if "task" not in case), None)
        if nameless is not None:
            raise ValueError(
                f'case {nameless.get("name", nameless)} names no task: add "task" to the datalist, or give --task'
            )
        own = [tasks.one(case["task"]) for case in cases]
        self.channels = {task.id: len(task.channels) for task in own}
        ids = [{"task": task.id} for task in own]
        super().__init__(ids, "task", batch_size, batches_per_task, mixed, seed, foreground_share)

    def _pools(self) -> list[list[Hashable]]:
        counts = sorted(set(self.channels.values()))
        return [[task for task in self.channels if self.channels[task] == count] for count in counts]
