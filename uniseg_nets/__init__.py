"""UniSeg for MONAI: networks, transforms and tools that the bundles instantiate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from uniseg_nets.nets import PromptTunedUniSeg, PromptUNETR, UniSeg, UniSegBackbone

__version__ = "0.1.0"
__all__ = ["PromptTunedUniSeg", "PromptUNETR", "UniSeg", "UniSegBackbone", "__version__"]


def __getattr__(name: str) -> Any:
    """Imports torch only when a network is asked for: the task table and the command's help stay light."""
    if name in __all__:
        from uniseg_nets import nets

        return getattr(nets, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
