"""Networks, assembled from the parts in :mod:`uniseg_nets.nets.unet` and :mod:`uniseg_nets.nets.prompt`."""

from uniseg_nets.nets.uniseg import UniSeg

__all__ = ["UniSeg"]
