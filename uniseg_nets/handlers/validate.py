"""Validation during a training, including the last epoch."""

from __future__ import annotations

import logging
from collections.abc import Sized

from ignite.engine import Engine, Events
from monai.engines import Evaluator
from monai.handlers import ValidationHandler

__all__ = ["RegularValidation"]

logger = logging.getLogger(__name__)


class RegularValidation(ValidationHandler):
    """MONAI's ``ValidationHandler``, but the last epoch is always validated.

    A training without validation cases is not validated; this is logged once.

    Args:
        validator: evaluator that runs after every ``interval`` epochs and after the last one.
        interval: epochs between two validations.
    """

    validator: Evaluator

    def __init__(self, validator: Evaluator, interval: int = 1) -> None:
        super().__init__(interval, validator)

    def attach(self, engine: Engine) -> None:
        loader = self.validator.data_loader
        if isinstance(loader, Sized) and not len(loader):
            engine.add_event_handler(Events.STARTED, self._say_that_there_is_none)
        else:
            engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        if engine.state.epoch % self.interval == 0 or engine.state.epoch == engine.state.max_epochs:
            super().__call__(engine)

    def _say_that_there_is_none(self) -> None:
        logger.info("no validation cases: nothing is validated, the last weights are saved as the best ones too")
