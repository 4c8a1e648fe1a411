"""Learning rates per step: a linear warm-up, then a decay that ends with the training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

__all__ = ["ExponentialDecay", "PolynomialDecay", "StepSchedule"]


class StepSchedule(LambdaLR):
    """The rate depends on the step alone: warm-up times decay.

    Not torch's own schedulers: from a checkpoint they restore their old length and rates. A training resumed with more
    epochs then stays at rate 0, and a new learning rate is ignored. The state of this schedule is the number of epochs
    done; length and rates are always those of the present configuration.

    Args:
        optimizer: the optimiser. Each parameter group starts from its own rate.
        epochs: epochs of the whole training.
        steps_per_epoch: steps per epoch; ``step()`` is called after each.
        warmup_share: fraction of all steps in which the rate rises linearly, 0 for none.

    Raises:
        ValueError: if there are no epochs or steps, or the fraction is outside 0 to 1.
    """

    def __init__(self, optimizer: Optimizer, epochs: int, steps_per_epoch: int, warmup_share: float = 0.0) -> None:
        if epochs < 1 or steps_per_epoch < 1:
            raise ValueError(
                f"max_epochs={epochs} with {steps_per_epoch} batches per epoch: expected 1 or more of both"
            )
        if not 0 <= warmup_share < 1:
            raise ValueError(f"warmup_share={warmup_share}: expected a share of the training, from 0 to below 1")
        self.epochs = epochs
        self.steps_per_epoch = steps_per_epoch
        self.warmup_steps = round(warmup_share * epochs * steps_per_epoch)
        super().__init__(optimizer, self.factor)

    def factor(self, step: int) -> float:
        """The factor of the learning rate in a step, counted from 0."""
        rise = min(1.0, (step + 1) / (self.warmup_steps + 1))
        return rise * self.decay(step / self.steps_per_epoch)

    def decay(self, epochs: float) -> float:
        """The factor after ``epochs`` epochs, without the warm-up."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        return {"epochs": self.last_epoch / self.steps_per_epoch}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self.last_epoch = round(state_dict["epochs"] * self.steps_per_epoch)
        self._last_lr = [rate * self.factor(self.last_epoch) for rate in self.base_lrs]
        for group, rate in zip(self.optimizer.param_groups, self._last_lr):
            group["lr"] = rate


class PolynomialDecay(StepSchedule):
    """The rate falls as ``(1 - step / steps) ** power``, to 0 after the last step.

    The official release (nnU-Net's ``poly_lr``) applies the same formula per epoch. At its 1000 epochs of 550 steps
    both agree to 0.002 of the learning rate. In a training of few epochs, a schedule per epoch would leave the last
    epoch at a rate far above 0.

    Args:
        optimizer, epochs, steps_per_epoch, warmup_share: as for :class:`StepSchedule`.
        power: 0.9 in the official recipe.

    Raises:
        ValueError: as for :class:`StepSchedule`.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        epochs: int,
        steps_per_epoch: int,
        warmup_share: float = 0.0,
        power: float = 0.9,
    ) -> None:
        self.power = power
        super().__init__(optimizer, epochs, steps_per_epoch, warmup_share)

    def decay(self, epochs: float) -> float:
        return max(0.0, 1 - epochs / self.epochs) ** self.power


class ExponentialDecay(StepSchedule):
    """The rate falls by the same factor per epoch, in equal parts per step.

    Args:
        optimizer, epochs, steps_per_epoch, warmup_share: as for :class:`StepSchedule`.
        gamma: factor per epoch; 1 for a constant rate.

    Raises:
        ValueError: as for :class:`StepSchedule`.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        epochs: int,
        steps_per_epoch: int,
        warmup_share: float = 0.0,
        gamma: float = 1.0,
    ) -> None:
        self.gamma = gamma
        super().__init__(optimizer, epochs, steps_per_epoch, warmup_share)

    def decay(self, epochs: float) -> float:
        return float(self.gamma**epochs)
