"""Divides validation cases among the processes of a training."""

from __future__ import annotations

from typing import Any

from monai.data import DistributedSampler
from torch.utils.data import Dataset

from uniseg_nets.ranks import rank_count

__all__ = ["shared_sampler"]


def shared_sampler(dataset: Dataset[Any]) -> DistributedSampler | None:
    """A sampler that gives each process its own cases, every case once. The process group must be initialised.

    Returns:
        ``None`` if there are fewer cases than processes, which MONAI's sampler refuses. Each process then validates all
        cases, with the same mean.
    """
    if len(dataset) < rank_count():  # type: ignore[arg-type]
        return None
    return DistributedSampler(dataset, even_divisible=False, shuffle=False)
