"""Communication between the processes of a training."""

from __future__ import annotations

from typing import Any

from torch import distributed
from torch.nn.parallel import DistributedDataParallel

__all__ = ["from_all_ranks", "is_first_rank", "own_rank", "reasons_of_all_ranks", "unwrapped"]


def own_rank() -> int:
    """The rank of this process; 0 for a single process."""
    return distributed.get_rank() if _several() else 0


def is_first_rank() -> bool:
    """Whether this process has rank 0, which writes the files."""
    return own_rank() == 0


def from_all_ranks(thing: Any) -> list[Any]:
    """The values of all ranks, in their order. All ranks must call this at the same point."""
    if not _several():
        return [thing]
    gathered: list[Any] = [None] * distributed.get_world_size()
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
