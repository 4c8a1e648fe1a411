"""Progress of a training: a bar during an epoch, and a line after it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from ignite.engine import Engine, Events
from tqdm import tqdm

__all__ = ["EpochProgress"]

logger = logging.getLogger(__name__)


class EpochProgress:
    """A progress bar per epoch, on a terminal only, and one line per epoch with its mean loss and its time.

    MONAI's ``StatsHandler`` logs a line per step, which breaks the bar, and logs metrics per epoch, which a training
    does not have. ignite's ``ProgressBar`` writes to log files too.

    Args:
        desc: label of the bar.
        output_transform: an engine's output -> the step's loss. Without it there is a bar and no line.
    """

    def __init__(self, desc: str = "epoch", output_transform: Callable[[Any], Any] | None = None) -> None:
        self.desc = desc
        self.output_transform = output_transform

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._step)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._end)

    def _start(self, engine: Engine) -> None:
        self._losses: list[float] = []
        self._begun = time.perf_counter()
        count = "" if self.output_transform is None else f" {engine.state.epoch}/{engine.state.max_epochs}"
        self._bar = tqdm(total=engine.state.epoch_length, desc=self.desc + count, disable=None, leave=False)

    def _step(self, engine: Engine) -> None:
        if self.output_transform is not None:
            self._losses.append(float(self.output_transform(engine.state.output)))
            self._bar.set_postfix(loss=f"{self._losses[-1]:.3f}", refresh=False)
        self._bar.update()

    def _end(self, engine: Engine) -> None:
        self._bar.close()
        if self._losses:
            logger.info(
                "epoch %d/%d: mean loss %.4f of %d steps, %.0f s",
                engine.state.epoch,
                engine.state.max_epochs,
                np.mean(self._losses),
                len(self._losses),
                time.perf_counter() - self._begun,
            )
