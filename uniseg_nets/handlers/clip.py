"""Between the backward pass and the optimiser's step: gradients are clipped, broken ones are left out."""

from __future__ import annotations

import logging

import torch
from ignite.engine import Engine
from monai.engines import SupervisedTrainer
from monai.engines.utils import IterationEvents
from torch import nn

from uniseg_nets.handlers.guard import describe_batch

__all__ = ["ClipGradients"]

logger = logging.getLogger(__name__)


class ClipGradients:
    """Scales the gradients of a network down to a largest norm (12 in the official release).

    Under AMP the gradients are unscaled first, so that the norm means the same as in full precision. Gradients that are
    no numbers, which reduced precision gives now and then, are dropped, and the step does nothing.

    Args:
        network: whose gradients.
        max_norm: largest Euclidean norm of all gradients together.
        patience: so many steps may be dropped one after the other.

    Raises:
        FloatingPointError: more than ``patience`` steps in a row had no finite gradients; names the last one's cases.
    """

    def __init__(self, network: nn.Module, max_norm: float = 12.0, patience: int = 20) -> None:
        self.network = network
        self.max_norm = max_norm
        self.patience = patience
        self.dropped = 0

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self)

    def __call__(self, engine: SupervisedTrainer) -> None:
        if engine.scaler is not None:
            engine.scaler.unscale_(engine.optimizer)
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.max_norm)
        if torch.isfinite(norm):
            self.dropped = 0
            return
        self.dropped += 1
        if self.dropped > self.patience:
            raise FloatingPointError(
                f"{self.dropped} steps in a row without finite gradients, the last in {describe_batch(engine)}. Lower "
                "the learning rate, or train in float32 (bfloat16 and amp off); then --resume"
            )
        logger.warning("gradients are no numbers in %s: step left out", describe_batch(engine))
        self.network.zero_grad(set_to_none=True)
