"""What all runtimes have in common: the steps that PyTorch does in any case, and the order of a decoding."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from uniseg_nets.nets import UniSegBackbone

__all__ = ["Runtime"]


class Runtime(nn.Module):
    """A network's inference steps; subclasses compute ``encode``, ``decode_coarse`` and ``decode_fine``.

    Args:
        network: a :class:`~uniseg_nets.UniSeg` or :class:`~uniseg_nets.UniSegBackbone`.
    """

    def __init__(self, network: UniSegBackbone):
        super().__init__()
        self.network = network

    def encode(self, x: Tensor) -> list[Any]:
        """(B, C, D, H, W) -> features of the six stages, finest first; the last one is a PyTorch tensor."""
        raise NotImplementedError

    def prompts(self, features: list[Any]) -> Tensor:
        """Features -> the prompts of all tasks, (B, T, d, h, w)."""
        return self.network.prompts(features)

    def select(self, prompts: Tensor, task: int | Tensor) -> Tensor:
        """The prompt of each sample's task."""
        return self.network.select(prompts, task)

    def decode(self, features: list[Any], prompt: Tensor) -> Tensor:
        """Features and one task's prompt -> logits (B, K, D, H, W)."""
        return self.decode_fine(features, self.decode_coarse(features, prompt)[0])

    def decode_coarse(self, features: list[Any], prompt: Tensor) -> tuple[Any, Tensor]:
        """See :meth:`uniseg_nets.UniSegBackbone.decode_coarse`."""
        raise NotImplementedError

    def decode_fine(self, features: list[Any], x: Any) -> Tensor:
        """See :meth:`uniseg_nets.UniSegBackbone.decode_fine`."""
        raise NotImplementedError
