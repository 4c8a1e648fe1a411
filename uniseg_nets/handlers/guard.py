"""A training that meets a loss which is no number stops at once and says where."""

from __future__ import annotations

import torch
from monai.engines import SupervisedTrainer
from monai.engines.utils import IterationEvents

from uniseg_nets.handlers.ranks import reasons_of_all_ranks

__all__ = ["FiniteLossGuard"]


class FiniteLossGuard:
    """Ends the run before a NaN or infinite loss reaches the weights; of several ranks, all of them.

    Not ignite's ``TerminateOnNan``, which knows neither case nor task and acts after the optimiser's step.

    Raises:
        FloatingPointError: names iteration, task and cases, those of every rank that met one.
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
    """Where a training stands: epoch, iteration, task or modality and cases of the batch."""
    state, batch = engine.state, engine.state.batch
    kind = "task" if "task" in batch else "modality"
    kinds = ", ".join(sorted(set(map(str, batch[kind]))))
    cases = ", ".join(str(name) for name in batch.get("name", batch[kind]))
    return f"epoch {state.epoch}, iteration {state.iteration}: {kind} {kinds}, cases {cases}"
