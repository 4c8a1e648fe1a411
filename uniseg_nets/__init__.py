"""UniSeg for MONAI: networks, transforms and tools that the bundles instantiate."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from uniseg_nets.nets import PromptTunedUniSeg, PromptUNETR, UniSeg, UniSegBackbone
    from uniseg_nets.segmenter import Segmenter

__version__ = "0.8.0"
__all__ = ["PromptTunedUniSeg", "PromptUNETR", "Segmenter", "UniSeg", "UniSegBackbone", "__version__"]


def __getattr__(name: str) -> Any:
    """Imports torch only when it is needed: the task table and the command's help stay light."""
    if name in __all__:
        return getattr(import_module("uniseg_nets.segmenter" if name == "Segmenter" else "uniseg_nets.nets"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
