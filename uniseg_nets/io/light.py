"""Imports MONAI without what inference does not use.

``import monai`` imports every optional package that is installed, and ignite, which imports PyTorch's sharding of
optimisers and with it SymPy. That takes longer than the inference of a small scan.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.abc import MetaPathFinder
from types import ModuleType
from typing import Any

__all__ = ["import_monai_for_inference"]

_UNUSED = {
    *("IPython", "huggingface_hub", "jsonschema", "matplotlib", "pandas", "scipy.signal", "sklearn", "tensorboard"),
    "transformers",
}
# What ignite's checkpoints import for one class, to compare optimisers with it.
_SHARDING, _SHARDED_OPTIMIZER = "torch.distributed.optim", "ZeroRedundancyOptimizer"


class _Hidden(MetaPathFinder):
    """Hides packages from imports, as if they were not installed."""

    def find_spec(self, fullname: str, *_: Any) -> None:
        if fullname in _UNUSED:
            raise ModuleNotFoundError(f"{fullname} is hidden from MONAI", name=fullname)


def import_monai_for_inference() -> None:
    """Imports MONAI while packages that inference does not use are hidden; later imports find them again.

    For a process of its own, such as a command: MONAI's functions that need one of them say that it is not installed,
    and ignite's checkpoints take no sharded optimiser.
    """
    hidden = _Hidden()
    sys.meta_path.insert(0, hidden)
    empty = _without_sharding()
    try:
        import_module("monai")
    finally:
        sys.meta_path.remove(hidden)
        if sys.modules.get(_SHARDING) is empty:
            del sys.modules[_SHARDING]


def _without_sharding() -> ModuleType:
    """A module in the place of PyTorch's sharding, unless that is imported already."""
    import_module("torch")
    empty = ModuleType(_SHARDING)
    setattr(empty, _SHARDED_OPTIMIZER, type(_SHARDED_OPTIMIZER, (), {}))
    sys.modules.setdefault(_SHARDING, empty)
    return empty
