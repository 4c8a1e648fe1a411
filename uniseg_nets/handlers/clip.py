"""Clips gradients between the backward pass and the optimiser's step, and skips steps with non-finite gradients."""

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
    """Clips the gradients of a network to a maximum norm (12 in the official release).

    Under AMP the gradients are unscaled first, so that the norm means the same as in full precision. Reduced precision
    gives non-finite gradients now and then: they are dropped, and the step changes nothing.

    Args:
        network: the network.
        max_norm: maximum Euclidean norm of all gradients together.
        patience: maximum number of steps in a row that may be dropped.

    Raises:
        FloatingPointError: if more than ``patience`` steps in a row had non-finite gradients; the message names the
            cases of the last one.
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
        logger.warning("gradients are not finite in %s: step skipped", describe_batch(engine))
        self.network.zero_grad(set_to_none=True)
