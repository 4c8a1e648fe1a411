"""Checkpoints that a stopped training goes on from."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch.nn.parallel import DistributedDataParallel

from uniseg_nets.data.guarded import root_cause
from uniseg_nets.files import atomic_path

__all__ = ["ResumableCheckpoint"]

logger = logging.getLogger(__name__)


class ResumableCheckpoint:
    """Saves the whole state of a training after epochs, and goes on from the newest sound file.

    Not MONAI's ``CheckpointSaver``: that one knows neither the trainer's epoch nor the scaler, writes in place, and its
    loader gives up on a damaged file. Files are ``checkpoint_epoch=N.pt``; rank 0 alone writes.

    Args:
        save_dir: folder of the checkpoints.
        objects: name -> what has ``state_dict`` and ``load_state_dict``: network, optimiser, scheduler, sampler, ...
        interval: epochs between two files.
        keep: how many files stay.
        resume: go on from the newest file that can be read; without one, start from the beginning.
    """

    def __init__(
        self,
        save_dir: str | PathLike[str],
        objects: Mapping[str, Any],
        interval: int = 1,
        keep: int = 2,
        resume: bool = False,
    ) -> None:
        self.save_dir = Path(save_dir)
        self.objects = dict(objects)
        self.interval = interval
        self.keep = keep
        self.resume = resume

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self._load)
        engine.add_event_handler(Events.EPOCH_COMPLETED(every=self.interval), self._save)

    def _files(self) -> list[Path]:
        """The checkpoints, newest first."""
        files = self.save_dir.glob("checkpoint_epoch=*.pt")
        return sorted(files, key=lambda path: int(path.stem.split("=")[1]), reverse=True)

    def _save(self, engine: Engine) -> None:
        if torch.distributed.is_initialized() and torch.distributed.get_rank() != 0:
            return
        state = {name: _plain(thing).state_dict() for name, thing in self._all(engine).items()}
        state["epoch"] = engine.state.epoch
        with atomic_path(self.save_dir / f"checkpoint_epoch={engine.state.epoch}.pt") as temporary:
            torch.save(state, temporary)
        for old in self._files()[self.keep :]:
            old.unlink()

    def _load(self, engine: Engine) -> None:
        if not self.resume:
            return
        for path in self._files():
            try:
                state = torch.load(path, map_location="cpu", weights_only=True)
            except Exception as error:  # a damaged file makes the reader stumble in any way
                logger.warning("%s cannot be read (%s): taking the one before it", path, root_cause(error))
                continue
            for name, thing in self._all(engine).items():
                _plain(thing).load_state_dict(state[name])
            engine.state.epoch = state["epoch"]
            engine.state.iteration = state["epoch"] * engine.state.epoch_length
            logger.info("resuming after epoch %d from %s", state["epoch"], path)
            return
        logger.warning("nothing to resume from in %s: starting from the beginning", self.save_dir)

    def _all(self, engine: Engine) -> dict[str, Any]:
        scaler = getattr(engine, "scaler", None)
        return self.objects | ({} if scaler is None else {"scaler": scaler})


def _plain(thing: Any) -> Any:
    return thing.module if isinstance(thing, DistributedDataParallel) else thing
