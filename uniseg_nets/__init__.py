"""UniSeg for MONAI: networks, transforms and tools that the bundles instantiate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uniseg_nets.io.lazy import lazy_names
from uniseg_nets.version import __version__

if TYPE_CHECKING:
    from uniseg_nets.bundle.segmenter import Segmenter
    from uniseg_nets.nets import PromptTunedUniSeg, PromptUNETR, UniSeg, UniSegBackbone

__all__ = ["PromptTunedUniSeg", "PromptUNETR", "Segmenter", "UniSeg", "UniSegBackbone", "__version__"]

_HOMES = {
    "PromptTunedUniSeg": "nets",
    "PromptUNETR": "nets",
    "Segmenter": "bundle.segmenter",
    "UniSeg": "nets",
    "UniSegBackbone": "nets",
}
__getattr__ = lazy_names(__name__, _HOMES)
