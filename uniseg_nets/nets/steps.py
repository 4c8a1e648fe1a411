"""The steps of a network that inference calls, whatever computes them."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor

__all__ = ["NetworkSteps", "encoded_for"]


class NetworkSteps(Protocol):
    """What an inferer needs of a network: a backbone, a UniSeg, or a runtime of either.

    Shapes: B batch, C channels, T tasks, P prompt channels, K output channels, (D, H, W) size of the input in
    (z, y, x), (d, h, w) size of the bottleneck. Features may be of the runtime's own type; the last one is a tensor.
    """

    def encode(self, x: Tensor) -> list[Any]:
        """(B, C, D, H, W) -> features of the six stages, finest first."""

    def shared(self, features: list[Any]) -> list[Any]:
        """Prepares the decoding of several tasks: until the next ``encode`` a runtime computes once what they share."""

    def prompts(self, features: list[Any]) -> Tensor:
        """Features -> the prompts of all tasks, (B, T, d, h, w)."""

    def select(self, prompts: Tensor, task: int | Tensor) -> Tensor:
        """The prompt of each sample's task, (B, P, d, h, w)."""

    def decode(self, features: list[Any], prompt: Tensor) -> Tensor:
        """Features and one task's prompt -> logits (B, K, D, H, W)."""

    def decode_coarse(self, features: list[Any], prompt: Tensor) -> tuple[Any, Tensor]:
        """The state after three levels, and the coarse logits (B, K, D/2, H/4, W/4)."""

    def decode_fine(self, features: list[Any], x: Any) -> Tensor:
        """The state of :meth:`decode_coarse` -> logits (B, K, D, H, W)."""


def encoded_for(tasks: int, network: NetworkSteps, x: Tensor) -> list[Any]:
    """The features of an input (B, C, D, H, W), prepared for the decoders of so many tasks."""
    features = network.encode(x)
    return network.shared(features) if tasks > 1 else features
