"""Transfer of pretrained weights to a network for other data.

The heads are new. A network with prompts keeps them: at the start its features are exactly those of one task of the
weights, its slot. A network without prompts drops the prompt's channel of the first up-sampling, as in Ye et al.,
MICCAI 2023, section 2.4 and the official release's downstream trainer. It starts as if the prompt were zero, which is
the prompt of no task.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from uniseg_nets.io.bundles import MODEL
from uniseg_nets.io.messages import listing
from uniseg_nets.nets import PromptTunedUniSeg, UniSeg, UniSegBackbone
from uniseg_nets.weights.checkpoints import read_state, state_faults
from uniseg_nets.weights.freezing import train_only
from uniseg_nets.weights.trained_task import refuse_other_classes, refuse_other_task

__all__ = ["TransferReport", "fold_weights", "load_finetuned", "load_pretrained"]

logger = logging.getLogger(__name__)

_STEMS = "encoder.stem.convs."
_FIRST_UPSAMPLE = "decoder.upsamples.0.weight"
_PROMPT = "task_prompts.universal"
_HEADS = "decoder.heads"


@dataclass
class TransferReport:
    """The result of a transfer, by tensor name.

    Attributes:
        loaded: tensors loaded unchanged.
        adapted: tensors loaded after a change of shape -> the change, in words.
        new: tensors with their initial values.
        unused: tensors of the file that were not loaded.
        prompt: the task of the weights that the network starts from, in words.
    """

    loaded: list[str] = field(default_factory=list)
    adapted: dict[str, str] = field(default_factory=dict)
    new: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    prompt: str = ""

    def __str__(self) -> str:
        adapted = "".join(f"\n  {name}: {what}" for name, what in self.adapted.items())
        return (
            f"{len(self.loaded)} tensors loaded, {len(self.adapted)} adapted, {len(self.new)} new, "
            f"{len(self.unused)} of the file unused{adapted}\n  new: {_grouped(self.new)}"
            f"\n  unused: {_grouped(self.unused)}\n  prompt: {self.prompt}"
        )


def load_pretrained(
    network: UniSegBackbone,
    weights: str | PathLike[str] | None,
    new: Sequence[str] = (_HEADS,),
    frozen: Sequence[str] = (),
    trained: Sequence[str] = (),
    task: Mapping[str, Any] | None = None,
) -> UniSegBackbone:
    """Loads weights of UniSeg or its backbone, official or ours, and logs a :class:`TransferReport`.

    Three kinds of tensors are adapted: the first up-sampling of a network without prompt (its last input channel is
    dropped); the first convolution for a channel count that the weights lack (the mean over channels of the nearest
    known one, repeated, with the same sum); the universal prompt of another patch size (interpolated).

    Args:
        network: the network.
        weights: the file; ``None`` to keep the initial weights.
        new: prefixes of tensor names that are not loaded.
        frozen: parts that are not trained, see :func:`~uniseg_nets.weights.freezing.belongs`.
        trained: the parts that are trained alone; empty for all.
        task: of a packed bundle, whose heads are not new: entry of the task whose classes they must have learnt.

    Returns:
        The network.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the weights are of another network, a tensor can neither be loaded nor adapted (named), heads
            that are kept have learnt other classes than those of ``task``, or the network lacks a part in ``frozen`` or
            ``trained``, or nothing is left to train; or without weights, if a part would stay frozen at its random
            values.
    """
    if weights is None and (frozen or trained):
        raise ValueError(
            "no pretrained weights, so that what is frozen would keep random values: plan again with "
            "`--weights`, or train everything (from_scratch.json alone)"
        )
    if weights is not None:
        if task is not None and not _HEADS.startswith(tuple(new)):
            refuse_other_classes(weights, task)
        state, _ = read_state(weights)
        chosen, report = _fit(state, network.state_dict(), tuple(new), Path(weights))
        network.load_state_dict(chosen)
        report.prompt = _prompt(network)
        logger.info("pretrained weights %s: %s", weights, report)
    train_only(network, trained, frozen)
    return network


def load_finetuned(
    network: UniSegBackbone,
    weights: str | PathLike[str] | Sequence[str] | None,
    device: str | torch.device = "cpu",
    task: Mapping[str, Any] | None = None,
) -> nn.Module:
    """Loads the weights of a training; of several files, such as those of folds, as an ``nn.ModuleList`` of networks.

    Args:
        network: the network.
        weights: the file or files; ``None`` to leave the weights unchanged.
        device: the device.
        task: entry of the task to segment; configs of earlier versions do not give it.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the weights were trained for another task, see
            :func:`~uniseg_nets.weights.trained_task.refuse_other_task`, or tensors are missing, unexpected or of
            another shape (all named).
    """
    if weights is None:
        return network.to(device)
    files = [weights] if isinstance(weights, (str, PathLike)) else list(weights)
    if task is not None:
        for file in files:
            refuse_other_task(file, task, getattr(network, "slot", None))
    networks = []
    for file in files:
        state, _ = read_state(file)
        faults = state_faults(state, network.state_dict())
        if faults:
            raise ValueError(
                f"{file} does not fit the network of this plan: {listing(faults, '; ', 5)}; use the plan it was "
                "trained with, `--plan PLAN` of `uniseg segment`"
            )
        member = copy.deepcopy(network)
        member.load_state_dict(state)
        networks.append(member.to(device))
    return networks[0] if len(networks) == 1 else nn.ModuleList(networks)


def fold_weights(folder: str | PathLike[str], folds: Sequence[int]) -> list[str]:
    """Paths of the best weights of the trainings of cross-validation folds, ``FOLDER/foldK/model.pt``.

    A file need not exist: tools build the transforms of a bundle before it is trained.
    """
    return [str(Path(folder) / f"fold{fold}" / MODEL) for fold in folds]


def _fit(
    state: dict[str, Tensor], target: dict[str, Tensor], new: tuple[str, ...], path: Path
) -> tuple[dict[str, Tensor], TransferReport]:
    """The tensors for the network, and the report."""
    stems = {int(name.split(".")[3]): name for name in state if name.startswith(_STEMS) and name.endswith("weight")}
    if not stems or _FIRST_UPSAMPLE not in state:
        raise ValueError(f"{path} holds no weights of UniSeg or its backbone: it has {', '.join(list(state)[:5])}")
    report, chosen, faults, used = TransferReport(), {}, [], set()
    for name, tensor in target.items():
        chosen[name] = tensor
        source, what = state.get(name), ""
        if name.startswith(new):
            report.new.append(name)
            continue
        if source is None and name.startswith(_STEMS):
            channels = int(name.split(".")[3])
            nearest = stems[min(stems, key=lambda known: abs(known - channels))]
            key = nearest if name.endswith("weight") else nearest.replace("weight", "bias")
            source, what = _channels(state[key], tensor), f"from {key}"
            used.add(key)
        elif source is not None and source.shape != tensor.shape:
            source, what = _adapted(name, source, tensor)
        if source is None or source.shape != tensor.shape:
            got = "not there" if name not in state else f"of shape {tuple(state[name].shape)}"
            faults.append(f"{name} is {got}, expected {tuple(tensor.shape)}")
            continue
        used.add(name)
        chosen[name] = source
        if what:
            report.adapted[name] = what
        else:
            report.loaded.append(name)
    if faults:
        raise ValueError(
            f"{path} does not fit the network: {listing(faults, '; ', 5)}; set the features (and tasks) of "
            "network_def to those of the file, as `uniseg plan --weights FILE` does"
        )
    report.unused = [name for name in state if name not in used]
    return chosen, report


def _prompt(network: UniSegBackbone) -> str:
    if isinstance(network, PromptTunedUniSeg):
        return f"the decoder gets the prompt of task {network.slot} of the weights, as in their training"
    if isinstance(network, UniSeg):
        return "the decoder gets the prompt of each sample's task"
    return "dropped; the decoder's features differ from those of every task (`uniseg plan --slot` keeps one task's)"


def _adapted(name: str, source: Tensor, target: Tensor) -> tuple[Tensor | None, str]:
    if name == _FIRST_UPSAMPLE and source.shape[0] == target.shape[0] + 1 and source.shape[1:] == target.shape[1:]:
        return source[:-1], f"{tuple(source.shape)} without the prompt's input channel"
    if name == _PROMPT and source.shape[:2] == target.shape[:2]:
        size = tuple(target.shape[2:])
        return F.interpolate(source, size, mode="trilinear", align_corners=False), f"interpolated to {size}"
    return None, ""


def _channels(source: Tensor, target: Tensor) -> Tensor:
    """The weights of a first convolution for another number of input channels; a bias is unchanged."""
    if source.ndim == 1:
        return source
    return (source.sum(dim=1, keepdim=True) / target.shape[1]).expand(-1, target.shape[1], -1, -1, -1).clone()


def _grouped(names: Sequence[str]) -> str:
    """Names by their first two parts, with counts."""
    groups: dict[str, int] = {}
    for name in names:
        group = ".".join(name.split(".")[:2])
        groups[group] = groups.get(group, 0) + 1
    return ", ".join(f"{group} ({count})" for group, count in groups.items()) or "none"
