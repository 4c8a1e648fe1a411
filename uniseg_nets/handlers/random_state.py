"""The states of a process's random number generators, for checkpoints."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

__all__ = ["random_state", "set_random_state"]


def random_state() -> dict[str, Any]:
    """The states of Python's, NumPy's and PyTorch's generators (CPU and GPU), in types that ``torch.load`` allows."""
    kind, key, *rest = np.random.get_state(legacy=True)  # noqa: NPY002 - libraries draw from it
    state = {
        "python": random.getstate(),
        "numpy": (kind, torch.from_numpy(np.asarray(key).astype(np.int64)), *rest),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: Mapping[str, Any]) -> None:
    """Restores the states of :func:`random_state`; that of a GPU only if both processes have one."""
    random.setstate(state["python"])
    kind, key, *rest = state["numpy"]
    np.random.set_state((kind, key.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
