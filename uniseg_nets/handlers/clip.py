"""Gradient clipping between the backward pass and the optimiser's step."""

from __future__ import annotations

from ignite.engine import Engine
from monai.engines import SupervisedTrainer
from monai.engines.utils import IterationEvents
from torch import nn

__all__ = ["ClipGradients"]


class ClipGradients:
    """Scales the gradients of a network down to a largest norm (12 in the official recipe).

    Under AMP the gradients are unscaled first, so that the norm means the same as in full precision.

    Args:
        network: whose gradients.
        max_norm: largest Euclidean norm of all gradients together.
    """

    def __init__(self, network: nn.Module, max_norm: float = 12.0) -> None:
        self.network = network
        self.max_norm = max_norm

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self)

    def __call__(self, engine: SupervisedTrainer) -> None:
        if engine.scaler is not None:
            engine.scaler.unscale_(engine.optimizer)
        nn.utils.clip_grad_norm_(self.network.parameters(), self.max_norm)
