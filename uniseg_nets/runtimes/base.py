"""The base class of runtimes: the steps that PyTorch always computes, and the order of the decoder's steps.

The one rule: a runtime has the interface of the network that it computes: the same calls, the same tensor names.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from uniseg_nets.nets import UniSegBackbone

__all__ = ["Runtime"]


class Runtime(nn.Module):
    """The inference steps of a network. Subclasses compute ``encode``, ``decode_coarse`` and ``decode_fine``.

    ``state_dict`` and ``load_state_dict`` use the network's own tensor names, also inside an ensemble.

    Args:
        network: a :class:`~uniseg_nets.UniSeg` or :class:`~uniseg_nets.UniSegBackbone`.
    """

    def __init__(self, network: UniSegBackbone):
        super().__init__()
        self.network = network
        self.register_state_dict_post_hook(_with_own_names)
        self.register_load_state_dict_pre_hook(_with_inner_names)

    def forward(self, x: Tensor, task: int | Tensor = 0) -> Tensor:
        """(B, C, D, H, W) -> logits (B, K, D, H, W), see :meth:`uniseg_nets.UniSegBackbone.forward`."""
        features = self.encode(x)
        return self.decode(features, self.select(self.prompts(features), task))

    def encode(self, x: Tensor) -> list[Any]:
        """(B, C, D, H, W) -> features of the six stages, finest first; the last one is a PyTorch tensor."""
        raise NotImplementedError

    def shared(self, features: list[Any]) -> list[Any]:
        """Features for the decoders of several tasks; unchanged here."""
        return features

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


_INNER = "network."


def _with_own_names(runtime: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Removes the runtime's prefix from the tensor names of a saved state."""
    for name in [name for name in state if name.startswith(prefix + _INNER)]:
        state[prefix + name.removeprefix(prefix + _INNER)] = state.pop(name)


def _with_inner_names(runtime: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Adds the runtime's prefix to the tensor names of a network's state."""
    for name in [name for name in state if name.startswith(prefix)]:
        state[prefix + _INNER + name.removeprefix(prefix)] = state.pop(name)
