"""What several processes of one training agree on."""

from __future__ import annotations

from typing import Any

from torch import distributed
from torch.nn.parallel import DistributedDataParallel

__all__ = ["from_all_ranks", "is_first_rank", "own_rank", "reasons_of_all_ranks", "unwrapped"]


def own_rank() -> int:
    """This process's rank; 0 where there is only one."""
    return distributed.get_rank() if _several() else 0


def is_first_rank() -> bool:
    """Whether this process is the one that writes files."""
    return own_rank() == 0


def from_all_ranks(thing: Any) -> list[Any]:
    """What every rank gives, in their order; all ranks must call this at the same place."""
    if not _several():
        return [thing]
    found: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(found, thing)
    return found


def reasons_of_all_ranks(reason: str | None) -> str | None:
    """Why any rank has to stop, so that all of them do; ``None`` where none has to.

    A rank that stops alone leaves the others waiting for its gradients. All ranks must call this at the same place.
    """
    reasons = from_all_ranks(reason)
    if len(reasons) == 1:
        return reason
    return "\n".join(f"rank {rank}: {why}" for rank, why in enumerate(reasons) if why) or None


def unwrapped(thing: Any) -> Any:
    """A network without the wrapper of distributed training; anything else as it is."""
    return thing.module if isinstance(thing, DistributedDataParallel) else thing


def _several() -> bool:
    return distributed.is_available() and distributed.is_initialized()
