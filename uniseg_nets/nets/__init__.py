"""Networks, assembled from the parts in :mod:`uniseg_nets.nets.unet` and :mod:`uniseg_nets.nets.prompt`."""

from uniseg_nets.nets.backbone import UniSegBackbone
from uniseg_nets.nets.prompt_unetr import PromptUNETR
from uniseg_nets.nets.uniseg import PromptTunedUniSeg, UniSeg

__all__ = ["PromptTunedUniSeg", "PromptUNETR", "UniSeg", "UniSegBackbone"]
