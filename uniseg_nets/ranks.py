"""The ranks of processes: of a run under ``torchrun``, and in a process group."""

from __future__ import annotations

import os
from typing import Any

from torch import distributed
from torch.nn.parallel import DistributedDataParallel

__all__ = [
    "from_all_ranks",
    "is_first_rank",
    "launched_rank",
    "own_rank",
    "rank_count",
    "reasons_of_all_ranks",
    "unwrapped",
]


def launched_rank() -> tuple[int, int]:
    """The rank that ``torchrun`` gave this process, and the number of ranks; no process group is needed."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def own_rank() -> int:
    """The rank of this process in the process group; 0 for a single process."""
    return distributed.get_rank() if _several() else 0


def rank_count() -> int:
    """The number of ranks in the process group; 1 for a single process."""
    return distributed.get_world_size() if _several() else 1


def is_first_rank() -> bool:
    """Whether this process has rank 0, which writes the files."""
    return own_rank() == 0


def from_all_ranks(thing: Any) -> list[Any]:
    """The values of all ranks, in their order. All ranks must call this at the same point."""
    if not _several():
        return [thing]
    gathered: list[Any] = [None] * rank_count()
    distributed.all_gather_object(gathered, thing)
    return gathered


def reasons_of_all_ranks(reason: str | None) -> str | None:
    """The reasons of all ranks that have to stop, in one text; ``None`` if no rank has to.

    A rank that stops alone leaves the others waiting for its gradients. All ranks must call this at the same point.
    """
    reasons = from_all_ranks(reason)
    if len(reasons) == 1:
        return reason
    return "\n".join(f"rank {rank}: {why}" for rank, why in enumerate(reasons) if why) or None


def unwrapped(thing: Any) -> Any:
    """A network without the wrapper of distributed training; any other object unchanged."""
    return thing.module if isinstance(thing, DistributedDataParallel) else thing


def _several() -> bool:
    return distributed.is_available() and distributed.is_initialized()
