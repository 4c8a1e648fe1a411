"""Stops a training at a non-finite loss, and says where."""

from __future__ import annotations

import torch
from monai.engines import SupervisedTrainer
from monai.engines.utils import IterationEvents

from uniseg_nets.ranks import reasons_of_all_ranks

__all__ = ["FiniteLossGuard"]


class FiniteLossGuard:
    """Ends the run on all ranks before a NaN or infinite loss reaches the weights.

    Not ignite's ``TerminateOnNan``, which knows neither case nor task and acts after the optimiser's step.

    Raises:
        FloatingPointError: if the loss is not finite; the message names iteration, task and cases of every such rank.
    """

    def attach(self, engine: SupervisedTrainer) -> None:
        engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self)

    def __call__(self, engine: SupervisedTrainer) -> None:
        loss = torch.as_tensor(engine.state.output["loss"])
        fine = bool(torch.isfinite(loss).all())
        reason = reasons_of_all_ranks(None if fine else f"loss is {loss.item()} in {describe_batch(engine)}")
        if reason:
            raise FloatingPointError(
                f"{reason}. The weights are as before this iteration. Look at these cases (empty or extreme "
                "intensities?), or lower the learning rate; then --resume"
            )


def describe_batch(engine: SupervisedTrainer) -> str:
    """Epoch, iteration, task or modality, and cases of the present batch, in words."""
    state, batch = engine.state, engine.state.batch
    kind = "task" if "task" in batch else "modality"
    kinds = ", ".join(sorted(set(map(str, batch[kind]))))
    cases = ", ".join(str(name) for name in batch.get("name", batch[kind]))
    return f"epoch {state.epoch}, iteration {state.iteration}: {kind} {kinds}, cases {cases}"
