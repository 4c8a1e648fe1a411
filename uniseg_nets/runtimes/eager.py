"""PyTorch as the runtime, optionally in bfloat16 with channels-last layout, optionally compiled."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from uniseg_nets.nets import UniSegBackbone
from uniseg_nets.runtimes.base import Runtime
from uniseg_nets.runtimes.channels_last import channels_last

__all__ = ["EagerRuntime"]


class EagerRuntime(Runtime):
    """The inference steps of a network in PyTorch, under autocast.

    Args:
        network: a :class:`~uniseg_nets.UniSeg` or :class:`~uniseg_nets.UniSegBackbone`.
        bfloat16: compute a copy of the network in bfloat16, channels last. In float32 the computation is that of
            training.
        compiled: use ``torch.compile``, which takes half a minute or more for the first window of each size.
    """

    def __init__(self, network: UniSegBackbone, bfloat16: bool = False, compiled: bool = False):
        network = channels_last(copy.deepcopy(network)) if bfloat16 else network
        super().__init__(network)
        self._bfloat16 = bfloat16
        steps: list[Callable[..., Any]] = [network.encode, network.decode_coarse, network.decode_fine]
        self._encode, self._coarse, self._fine = map(torch.compile, steps) if compiled else steps

    def _autocast(self, x: Tensor) -> torch.autocast:
        return torch.autocast(x.device.type, torch.bfloat16, enabled=self._bfloat16)

    def encode(self, x: Tensor) -> list[Tensor]:
        with self._autocast(x):
            features: list[Tensor] = self._encode(x)
        return features

    def prompts(self, features: list[Tensor]) -> Tensor:
        with self._autocast(features[-1]):
            return self.network.prompts(features)

    def decode_coarse(self, features: list[Tensor], prompt: Tensor) -> tuple[Tensor, Tensor]:
        with self._autocast(prompt):
            coarse: tuple[Tensor, Tensor] = self._coarse(features, prompt)
        return coarse

    def decode_fine(self, features: list[Tensor], x: Tensor) -> Tensor:
        with self._autocast(x):
            logits: Tensor = self._fine(features, x)
        return logits
