"""The weight files of a training: the best on the validation cases, and the last."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from monai.engines import Evaluator

from uniseg_nets.ranks import is_first_rank, unwrapped
from uniseg_nets.weights.checkpoints import save_weights
from uniseg_nets.weights.freezing import TrainedPart
from uniseg_nets.weights.trained_task import trained_task

__all__ = ["WeightFiles"]

logger = logging.getLogger(__name__)


class WeightFiles:
    """Writes the best weights right after their validation, and the last weights at the end.

    Without validation the last weights are written as the best ones too. Not MONAI's ``CheckpointSaver``, which deletes
    the file before it writes the next one, and treats the first validation of a resumed training as the best. Attach it
    after the validation. Rank 0 alone writes, and beside each file a hash, the terms, of a fine-tuning its task, and of
    a trained part its base.

    Args:
        weights: object with ``state_dict``: the network, or the part of it that is trained.
        validator: evaluator whose ``state`` holds the best epoch.
        best: file of the best weights.
        final: file of the last weights.
        pretrained_license: licence terms of the pretrained weights, which hold for these files too, as named by
            :func:`~uniseg_nets.weights.licence.terms_of`; ``None`` if there are none.
        task: of a fine-tuning, the entry of its task.
    """

    def __init__(
        self,
        weights: Any,
        validator: Evaluator,
        best: str | PathLike[str],
        final: str | PathLike[str],
        pretrained_license: str | None = None,
        task: Mapping[str, Any] | None = None,
    ) -> None:
        self.weights = weights
        self.validator = validator
        self.best = Path(best)
        self.final = Path(final)
        self.pretrained_license = pretrained_license
        self.task = task

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._save_best)
        engine.add_event_handler(Events.COMPLETED, self._save_final)

    def _save_best(self, engine: Engine) -> None:
        if self.validator.state.best_metric_epoch == engine.state.epoch:
            self._save(self.best)

    def _save_final(self, engine: Engine) -> None:
        self._save(self.final)
        if self.validator.state.best_metric_epoch == -1:
            self._save(self.best)

    def _save(self, path: Path) -> None:
        if is_first_rank():
            base = self.weights.base if isinstance(self.weights, TrainedPart) else None
            network = unwrapped(self.weights)
            task = None if self.task is None else trained_task(self.task, network)
            save_weights(network.state_dict(), path, terms=self.pretrained_license, base=base, task=task)
            logger.info("weights written to %s", path)
