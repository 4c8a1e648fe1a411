"""Checkpoints to resume a training from."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines import Evaluator
from torch.optim import Optimizer

from uniseg_nets.handlers.random_state import random_state, set_random_state
from uniseg_nets.io.errors import root_cause
from uniseg_nets.io.files import atomic_path
from uniseg_nets.io.messages import listing
from uniseg_nets.io.torch_files import save_torch
from uniseg_nets.ranks import from_all_ranks, is_first_rank, own_rank, unwrapped
from uniseg_nets.weights.trained_task import other_task, trained_task

__all__ = ["ResumableCheckpoint", "claim_folder"]

logger = logging.getLogger(__name__)


def claim_folder(
    folder: str | PathLike[str],
    resume: bool = False,
    final: str | PathLike[str] | None = None,
    best: str | PathLike[str] | None = None,
) -> Path:
    """Returns the folder for a training's checkpoints, if it has none of another training.

    Args:
        folder: folder of the checkpoints.
        resume: whether the training in the folder is the one to resume.
        final: file of the last weights. A file of an older training would look like this training's.
        best: file of the best weights. There may be other weights, such as downloaded ones.

    Raises:
        ValueError: if the training is not resumed and there are checkpoints or weights; the message says what to do.
    """
    folder = Path(folder)
    if resume:
        return folder
    earlier = [(path, "another folder with --ckpt_dir") for path in _checkpoints(folder)]
    if final and Path(final).is_file():
        earlier.append((Path(final), "another file with --final_weights"))
    for file, other in earlier[:1]:
        raise ValueError(
            f"{file} is of an earlier training: go on with it by --resume True, choose {other}, or move the files of "
            "that training away"
        )
    if best and Path(best).is_file():
        raise ValueError(
            f"{best} holds weights that this training would overwrite, fetched ones or another training's: choose "
            "another file with --best_weights, or move that one away"
        )
    return folder


class ResumableCheckpoint:
    """Saves the whole state of a training after epochs, and resumes from the newest readable file.

    Rates and lengths come from the configuration, the learnt state from the checkpoint: a training may be resumed with
    more epochs, another learning rate, or another precision.

    Not MONAI's ``CheckpointSaver`` or ignite's ``Checkpoint``: they save neither the scaler nor the states of random
    numbers of all ranks, do not prune files of an earlier process, and their loaders stop at a damaged file. Files are
    ``checkpoint_epoch=N.pt``; rank 0 alone writes.

    Args:
        save_dir: folder of the checkpoints.
        objects: name -> object with ``state_dict`` and ``load_state_dict``: network, optimiser, schedule, sampler, ...
            The optimiser comes before its schedule.
        validator: engine whose best metric, with its epoch, is saved.
        interval: epochs between two files; 0 to write and read none.
        keep: number of files to keep.
        resume: resume from the newest readable file; without any, start from the beginning.
        trained, held: the cases for training and for validation. Their names are saved, so that a training is not
            resumed where it holds out what it has learnt from.
        task: of a fine-tuning, the entry of its task, which is saved too.

    Raises:
        OSError: a file cannot be written, as on a full disk; the earlier ones stay.
        ValueError: at the start of the training, if the folder has checkpoints of another training, or the newest one
            does not fit this training, is of another task, or has learnt from a case that is held out now.
    """

    def __init__(
        self,
        save_dir: str | PathLike[str],
        objects: Mapping[str, Any],
        validator: Evaluator | None = None,
        interval: int = 1,
        keep: int = 2,
        resume: bool = False,
        trained: Sequence[Mapping[str, Any]] = (),
        held: Sequence[Mapping[str, Any]] = (),
        task: Mapping[str, Any] | None = None,
    ) -> None:
        self.save_dir = Path(save_dir)
        self.objects = dict(objects)
        self.validator = validator
        self.interval = interval
        self.keep = keep
        self.resume = resume
        names = _names([*trained, *held])
        self.cases = {"trained": names[: len(trained)], "held": names[len(trained) :]}
        self.task = task
        self._unreadable: set[Path] = set()

    def attach(self, engine: Engine) -> None:
        if self.interval:
            engine.add_event_handler(Events.STARTED, self._start)
            engine.add_event_handler(Events.EPOCH_COMPLETED(every=self.interval), self._save)

    def _save(self, engine: Engine) -> None:
        randoms = from_all_ranks(random_state())
        if not is_first_rank():
            return
        state = {name: unwrapped(thing).state_dict() for name, thing in self._all(engine).items()}
        state |= {"epoch": engine.state.epoch, "random": randoms, "cases": self.cases}
        if self.task is not None:
            state["task"] = trained_task(self.task, unwrapped(self.objects["model"]))
        if self.validator is not None:
            state["best"] = (float(self.validator.state.best_metric), self.validator.state.best_metric_epoch)
        path = self._file(engine.state.epoch)
        with atomic_path(path) as temporary:
            save_torch(state, temporary, path)
        self._unreadable.discard(path)
        readable = [path for path in _checkpoints(self.save_dir) if path not in self._unreadable]
        for old in readable[self.keep :]:
            old.unlink()

    def _file(self, epoch: int) -> Path:
        return self.save_dir / f"checkpoint_epoch={epoch}.pt"

    def _start(self, engine: Engine) -> None:
        if engine.state.epoch:  # a later run of the same trainer, as in federated training
            return
        claim_folder(self.save_dir, self.resume)
        if not self.resume:
            return
        for path in _checkpoints(self.save_dir):
            try:
                state = torch.load(path, map_location="cpu", weights_only=True)
            except Exception as error:  # a damaged file can raise any error
                logger.warning("%s cannot be read (%s): trying the one before it", path, root_cause(error))
                self._unreadable.add(path)  # not counted among those to keep
                continue
            self._load(engine, state, path)
            return
        logger.warning("nothing to resume from in %s: starting from the beginning", self.save_dir)

    def _load(self, engine: Engine, state: Mapping[str, Any], path: Path) -> None:
        missing = [name for name in (*self.objects, "random", "epoch") if name not in state]
        if missing:
            raise ValueError(
                f"{path} lacks {', '.join(missing)}: it is of another version of this package; start from its weights "
                "with a new --ckpt_dir"
            )
        then = state.get("cases", {"trained": [], "held": []})  # files of earlier versions name none
        self._refuse_another(state, then, path)
        for name, thing in self._all(engine).items():
            if name in state:  # the training may have had no scaler before
                try:
                    _load_into(unwrapped(thing), state[name])
                except (KeyError, RuntimeError, ValueError) as error:
                    raise ValueError(
                        f"{path} does not fit this training, {name}: {root_cause(error)}. Resume with the network and "
                        "the optimiser that it was trained with, or start again with another --ckpt_dir"
                    ) from error
        if self.validator is not None and "best" in state:
            self.validator.state.best_metric, self.validator.state.best_metric_epoch = state["best"]
        if own_rank() < len(state["random"]):
            set_random_state(state["random"][own_rank()])
        self.cases["trained"] = sorted({*self.cases["trained"], *then["trained"]})  # the network has learnt from all
        engine.state.epoch = state["epoch"]
        engine.state.iteration = state["epoch"] * engine.state.epoch_length
        logger.info("resuming after epoch %d from %s", state["epoch"], path)

    def _refuse_another(self, state: Mapping[str, Any], then: Mapping[str, Sequence[str]], path: Path) -> None:
        """Refuses to go on with another task, or with validation cases that were trained on ``then``."""
        learnt = sorted(set(then["trained"]) & (set(self.cases["held"]) - set(then["held"])))
        if learnt:
            raise ValueError(
                f"{path} has learnt from {len(learnt)} of the cases that this training holds out, {listing(learnt)}: "
                "resume with the plan or the datalist that it began with, or start again with another --ckpt_dir"
            )
        if self.task is not None and "task" in state:
            others = other_task(state["task"], self.task, getattr(unwrapped(self.objects["model"]), "slot", None))
            if others:
                raise ValueError(
                    f"{path} is of a training with {others}: resume with the plan that it began with, or start again "
                    "with another --ckpt_dir"
                )

    def _all(self, engine: Engine) -> dict[str, Any]:
        scaler = getattr(engine, "scaler", None)
        return self.objects | ({} if scaler is None else {"scaler": scaler})


def _names(cases: Sequence[Mapping[str, Any]]) -> list[str]:
    """The name of each case; the files of its image where others have the name, as ``imaging.nii.gz`` in folders."""
    images = [str(case.get("image")) for case in cases]
    names = [str(case.get("name", image)) for case, image in zip(cases, images)]
    several = Counter(name for name, _ in set(zip(names, images)))
    return [name if several[name] == 1 else image for name, image in zip(names, images)]


def _checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a folder, newest first."""
    files = folder.glob("checkpoint_epoch=*.pt")
    return sorted(files, key=lambda path: int(path.stem.split("=")[1]), reverse=True)


def _load_into(thing: Any, state: Mapping[str, Any]) -> None:
    """Loads a state. An optimiser keeps its settings, such as the learning rate, and loads its momenta alone."""
    if not isinstance(thing, Optimizer):
        thing.load_state_dict(state)
        return
    own = [{key: value for key, value in group.items() if key != "params"} for group in thing.param_groups]
    for group, saved in zip(own, state["param_groups"]):
        if group.keys() - saved.keys() and saved.keys() - group.keys() - {"params"}:
            raise ValueError(f"it holds the settings {', '.join(saved)}, not those of {type(thing).__name__}")
    thing.load_state_dict(dict(state))
    for group, settings in zip(thing.param_groups, own):
        group.update(settings)
