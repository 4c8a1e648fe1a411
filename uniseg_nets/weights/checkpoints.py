"""Weight files in the official layout and in ours, with lossless conversion both ways.

Our layout is a flat state dict, as a PyTorch file or as ``.safetensors``. Reading either runs no code. Every name and
shape must fit: an error names each tensor that is missing, unexpected or of another shape.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from uniseg_nets.io.files import atomic_path, sha256_of
from uniseg_nets.io.messages import listing, no_weights
from uniseg_nets.io.torch_files import save_torch
from uniseg_nets.nets import UniSeg
from uniseg_nets.nets.unet import TOTAL_STRIDE
from uniseg_nets.weights.beside import write_beside
from uniseg_nets.weights.freezing import mark_base
from uniseg_nets.weights.licence import mark_terms, strictest, terms_of
from uniseg_nets.weights.official import official_checkpoint, official_name, our_name
from uniseg_nets.weights.reading import read_file
from uniseg_nets.weights.safetensors_file import is_safetensors, safetensors_library, save_safetensors
from uniseg_nets.weights.trained_task import mark_task, refuse_other_task, task_of

__all__ = [
    "Weights",
    "convert",
    "halved",
    "initial_terms",
    "load_network",
    "read_state",
    "read_weights",
    "save_weights",
    "state_faults",
]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Weights:
    """A checked state dict with our names, and the sizes of its network.

    It stands for its file wherever a path does, so that a config may take it as ``weights`` and the file is read once.

    Attributes:
        path: the file.
        state: our names -> tensors.
        sizes: matching keyword arguments of :class:`~uniseg_nets.UniSeg`, read from the tensors.
        official: whether the file has the layout of the official release.
    """

    path: Path
    state: dict[str, Tensor]
    sizes: dict[str, Any]
    official: bool

    def __fspath__(self) -> str:
        return str(self.path)

    def overrides(self) -> dict[str, Any]:
        """The config values that these weights need: features and patch."""
        features = {f"network_def#{name}": self.sizes[name] for name in ("base_features", "max_features")}
        return {"patch_size": self.sizes["patch_size"], **features}

    def __str__(self) -> str:
        parameters = sum(tensor.numel() for tensor in self.state.values())
        layout = "official" if self.official else "our"
        sizes = ", ".join(f"{name}={value}" for name, value in self.sizes.items())
        return f"{layout} layout, {len(self.state)} tensors, {parameters:,} parameters: {sizes}"


def read_weights(path: str | PathLike[str]) -> Weights:
    """Reads a UniSeg checkpoint: ours (a flat state dict, optionally under ``model``) or the official release's.

    A :class:`Weights` that is already read is returned as it is.

    Raises:
        FileNotFoundError: if there is no such file; the message says how to get the weights.
        ValueError: if the file is not a checkpoint, or tensors are missing, unexpected or of another shape (all
            named).
    """
    if isinstance(path, Weights):
        return path
    state, official = read_state(path)
    return Weights(Path(path), state, _check(state, Path(path), official), official)


def read_state(path: str | PathLike[str]) -> tuple[dict[str, Tensor], bool]:
    """Reads the tensors of a checkpoint, in float32.

    Returns:
        Our names -> tensors, and whether the file is an official one.

    Raises:
        FileNotFoundError: if there is no such file; the message says how to get the weights.
        ValueError: if the file has no tensors, or another SHA-256 than ``FILE.sha256`` beside it says.
        NotInstalledError: if the library for a ``.safetensors`` file is missing.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(no_weights(path))
    content = read_file(path)
    official = isinstance(content, Mapping) and "state_dict" in content
    state = (
        content["state_dict"] if official else content.get("model", content) if isinstance(content, Mapping) else None
    )
    if not isinstance(state, Mapping) or not state or not all(isinstance(t, Tensor) for t in state.values()):
        raise ValueError(
            f"{path} holds no UniSeg weights: expected a state dict of tensors, or an official checkpoint with "
            f'"state_dict"; got {_outline(content)}'
        )
    if official:
        state = {our_name(name): tensor for name, tensor in state.items()}
    return {name: t.float() if t.is_floating_point() else t for name, t in state.items()}, official


def load_network(network: UniSeg, weights: str | PathLike[str] | None, device: str | torch.device = "cpu") -> UniSeg:
    """Loads the weights of a file into a network, and moves it to a device.

    If the file was trained with other features or another patch, a network of the file's sizes is returned instead,
    with a warning.

    Args:
        network: the network.
        weights: the file; ``None`` to leave the weights unchanged.
        device: the device.

    Raises:
        FileNotFoundError, ValueError: as for :func:`read_weights`, or if the numbers of tasks differ, or the file was
            fine-tuned for a task of its own.
    """
    if weights is None:
        return network.to(device)
    refuse_other_task(weights, None)
    loaded = read_weights(weights)
    logger.info("weights %s, of %d tasks", loaded.path, loaded.sizes["num_tasks"])
    if (loaded.sizes["num_tasks"], loaded.sizes["out_channels"]) != (network.num_tasks, network.out_channels):
        raise ValueError(
            f"{loaded.path} was trained on {loaded.sizes['num_tasks']} tasks with {loaded.sizes['out_channels']} "
            f"outputs, the task table has {network.num_tasks} tasks with {network.out_channels}: leave --weights "
            "away for the weights of this task, or name the table of that training with --tasks_file"
        )
    if _shapes(network.state_dict()) != _shapes(loaded.state):
        logger.warning("%s has other sizes than network_def; using the file's: %s", loaded.path, loaded.sizes)
        network = UniSeg(**loaded.sizes, deep_supervision=network.deep_supervision)
    network.load_state_dict(loaded.state, assign=True)  # otherwise the weights would be in memory twice
    return network.to(device)


def initial_terms(weights: str | PathLike[str] | Sequence[str | PathLike[str] | None] | None) -> str | None:
    """The terms for weights that are trained from a weights file, or from several; ``None`` without a file.

    Of several the strictest, see :func:`~uniseg_nets.weights.licence.strictest`.
    """
    files = [weights] if weights is None or isinstance(weights, (str, PathLike)) else weights
    return strictest(terms_of(file, read_state(file)[1]) for file in files if file is not None)


def save_weights(
    state: Mapping[str, Tensor],
    path: str | PathLike[str],
    *,
    terms: str | None = None,
    base: str | None = None,
    task: Mapping[str, Any] | None = None,
    metadata: Mapping[str, str] | None = None,
    official: bool = False,
) -> str:
    """Writes a flat state dict atomically, and beside it what belongs to it.

    Beside it are its SHA-256, for ``sha256sum --check``, its licence terms, its base and its task. Those of a file that
    is replaced are replaced or deleted.

    Args:
        state: name -> tensor.
        path: the file. The ending ``.safetensors`` selects that format.
        terms: its licence terms, those of the weights that it was made from, as named by
            :func:`~uniseg_nets.weights.licence.terms_of`; ``None`` if none are known.
        base: of a centre's file, the digest of the network that it was made for, see
            :func:`~uniseg_nets.weights.freezing.base_digest`.
        task: of a fine-tuned file, the task that it was trained for, see
            :func:`~uniseg_nets.weights.trained_task.task_of`.
        metadata: strings for the header of a ``.safetensors`` file; PyTorch's files have none.
        official: write the layout of the official release, a PyTorch file.

    Returns:
        The SHA-256.

    Raises:
        OSError: the file cannot be written, as on a full disk; an older one stays.
    """
    path = Path(path)
    with atomic_path(path) as temporary:
        if is_safetensors(path):
            save_safetensors(state, temporary, metadata or {})
        else:
            save_torch(official_checkpoint(state) if official else dict(state), temporary, path)
        digest = sha256_of(temporary)
        write_beside(path, "sha256", None)  # that of the former file, with which the new one would be refused
    write_beside(path, "sha256", f"{digest}  {path.name}\n")
    mark_terms(path, terms)
    mark_base(path, base)
    mark_task(path, task)
    return digest


def convert(
    source: str | PathLike[str],
    target: str | PathLike[str],
    to_official: bool = False,
    half: bool = False,
    terms: str | None = None,
) -> tuple[Weights, str]:
    """Converts a checkpoint to our layout, or to the official one.

    The official layout is written without optimiser state: enough for prediction and as a start of a training. The
    header of a ``.safetensors`` file has the network's sizes, as JSON.

    Args:
        source: a checkpoint of either layout.
        target: file to write.
        to_official: write the official layout.
        half: write 16-bit numbers, for half the size. They are read as 32-bit numbers.
        terms: licence terms of the target; by default those of the source, see :mod:`uniseg_nets.weights.licence`.

    Returns:
        The weights in ``source``, and the SHA-256 of ``target``.

    Raises:
        FileNotFoundError, ValueError: as for :func:`read_weights`, or if the official layout is to be ``.safetensors``,
            or, with ``half``, a number is above 65,504.
    """
    if is_safetensors(Path(target)):
        safetensors_library()
        if to_official:
            raise ValueError(f"{target}: the official layout is a PyTorch file; name one that ends in .pt")
    weights = read_weights(source)
    state = halved(weights.state, source) if half else weights.state
    terms = terms or terms_of(source, weights.official)
    sizes = {"sizes": json.dumps(weights.sizes)}
    task = task_of(source)
    return weights, save_weights(state, target, terms=terms, task=task, metadata=sizes, official=to_official)


def halved(state: Mapping[str, Tensor], source: str | PathLike[str]) -> dict[str, Tensor]:
    """The tensors in 16 bits; integers stay as they are.

    Raises:
        ValueError: if a number is above 65,504; ``source`` is the file to name.
    """
    small = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    large = [name for name, tensor in small.items() if not tensor.isfinite().all()]
    if large:
        raise ValueError(f"{source}: {listing(large)} has numbers that 16 bits cannot hold: convert without half")
    return small


def _check(state: Mapping[str, Tensor], path: Path, official: bool) -> dict[str, Any]:
    """The network sizes of a state dict, after a comparison of all names and shapes with a network of these sizes."""

    def shown(name: str) -> str:
        return official_name(name) if official else name

    keys = {
        "prompt": "task_prompts.universal",
        "stem": "encoder.stem.norm.weight",
        "bottleneck": "encoder.stages.5.1.norm.weight",
        "head": "decoder.heads.4.weight",
    }
    lacking = [shown(key) for key in keys.values() if key not in state]
    stems = sorted(int(m[1]) for m in (re.fullmatch(r"encoder\.stem\.convs\.(\d+)\.weight", n) for n in state) if m)
    if lacking or not stems:
        named = ", ".join(lacking) or shown("encoder.stem.convs.1.weight")
        raise ValueError(f"{path} is no UniSeg checkpoint: it lacks {named}; it has {_outline(state)}")
    prompt = state[keys["prompt"]].shape
    if len(prompt) != 5:
        raise ValueError(f"{path}: {shown(keys['prompt'])} has shape {tuple(prompt)}, expected (1, tasks, z, y, x)")
    sizes: dict[str, Any] = {
        "num_tasks": prompt[1],
        "out_channels": state[keys["head"]].shape[0],
        "in_channels": stems,
        "base_features": state[keys["stem"]].shape[0],
        "max_features": state[keys["bottleneck"]].shape[0],
        "patch_size": [n * s for n, s in zip(prompt[2:], TOTAL_STRIDE)],
    }
    with torch.device("meta"):
        faults = state_faults(state, UniSeg(**sizes).state_dict(), shown)
    if faults:
        raise ValueError(f"{path} does not fit UniSeg ({sizes}): " + "; ".join(faults))
    return sizes


def state_faults(
    state: Mapping[str, Tensor], expected: Mapping[str, Tensor], shown: Callable[[str], str] = str
) -> list[str]:
    """The reasons why a state dict does not load strictly: tensors missing, unexpected or of another shape."""
    got, wanted = _shapes(state), _shapes(expected)
    faults = [f"missing {shown(name)}" for name in wanted if name not in got]
    faults += [f"unexpected {shown(name)}" for name in got if name not in wanted]
    faults += [
        f"{shown(name)} has shape {got[name]}, expected {wanted[name]}"
        for name in wanted
        if name in got and got[name] != wanted[name]
    ]
    return faults


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def _outline(content: Any) -> str:
    if not isinstance(content, Mapping):
        return f"a {type(content).__name__}"
    names = [str(name) for name in content]
    return listing(names, shown=5)
