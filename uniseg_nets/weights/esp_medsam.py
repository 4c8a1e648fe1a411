"""Loads weights into ESP-MedSAM: MobileSAM's encoder, SAM's two-way transformer, a teacher's parts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path

from torch import Tensor, nn

from uniseg_nets.io.messages import listing
from uniseg_nets.nets.esp_medsam.modalities import MODALITIES
from uniseg_nets.nets.esp_medsam.model import ESPMedSAM
from uniseg_nets.nets.esp_medsam.sam import SAMEncoder
from uniseg_nets.weights.base import load_base
from uniseg_nets.weights.checkpoints import read_state, state_faults

__all__ = [
    "check_state",
    "copy_from_teacher",
    "kinds_in",
    "load_mobile_sam",
    "load_sam_transformer",
    "load_teacher",
    "modalities_in",
    "start_from",
]

_ENCODER = "image_encoder."
_TRANSFORMER = "mask_decoder.transformer."
_POSITIONS = "prompt_encoder.pe_layer."
# Unused tensors of MobileSAM's file: the classifier of TinyViT's pretraining, and a table computed from the window.
_UNUSED = ("norm_head.", "head.")
_TABLE = "attention_bias_idxs"


def load_mobile_sam(network: ESPMedSAM, path: str | PathLike[str]) -> ESPMedSAM:
    """Loads the image encoder of MobileSAM's file (``mobile_sam.pt``); returns the network.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if tensors of the encoder are missing, unexpected or of another shape (named).
    """
    state = {
        name: tensor
        for name, tensor in _part(path, _ENCODER).items()
        if not name.startswith(_UNUSED) and not name.endswith(_TABLE)
    }
    _load(network.image_encoder, state, path, "MobileSAM's image encoder")
    return network


def load_sam_transformer(network: ESPMedSAM, path: str | PathLike[str]) -> ESPMedSAM:
    """Loads the two-way transformer of a SAM or MobileSAM file with its position encoding; returns the network.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if tensors are missing, unexpected or of another shape (named).
    """
    state = {f"transformer.{_in_monai(name)}": tensor for name, tensor in _part(path, _TRANSFORMER).items()}
    state |= {f"positions.{name}": tensor for name, tensor in _part(path, _POSITIONS).items()}
    decoder = network.decoder
    own = nn.ModuleDict({"transformer": decoder.transformer, "positions": decoder.positions})
    _load(own, state, path, "SAM's two-way transformer with its positions")
    return network


def _in_monai(name: str) -> str:
    """MONAI's name for a tensor of SAM's two-way transformer."""
    return name.replace("mlp.lin", "mlp.linear")


def _part(path: str | PathLike[str], prefix: str) -> dict[str, Tensor]:
    if not Path(path).is_file():
        raise FileNotFoundError(f"no file {path}: name a checkpoint of SAM or MobileSAM")
    return {name.removeprefix(prefix): t for name, t in read_state(path)[0].items() if name.startswith(prefix)}


def _load(module: nn.Module, state: dict[str, Tensor], path: str | PathLike[str], what: str) -> None:
    check_state(state, module.state_dict(), path, what)
    module.load_state_dict(state)


def check_state(
    state: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: str | PathLike[str], what: str
) -> None:
    """Checks that a file has exactly the expected tensors.

    Raises:
        ValueError: if tensors are missing, unexpected or of another shape (named).
    """
    faults = state_faults(state, expected)
    if faults:
        raise ValueError(f"{Path(path)} does not hold {what} of these sizes: {listing(faults, '; ', 5)}")


def modalities_in(path: str | PathLike[str] | None) -> list[str]:
    """The modalities in a weights file of ESP-MedSAM, in their order; the paper's six if there is no file."""
    if path is None or not Path(path).is_file():
        return list(MODALITIES)
    names = [name.split(".")[1] for name in read_state(path)[0] if name.startswith("controllers.")]
    return list(dict.fromkeys(names))


def kinds_in(path: str | PathLike[str] | None) -> int:
    """The largest number of kinds of images per modality in a weights file of ESP-MedSAM; 1 if there is no file."""
    if path is None or not Path(path).is_file():
        return 1
    matches = [re.fullmatch(r"recogniser\.known\.[^.]+\.(\d+)\.mean", name) for name in read_state(path)[0]]
    return 1 + max((int(match[1]) for match in matches if match), default=0)


def start_from(
    network: ESPMedSAM,
    weights: str | PathLike[str] | None = None,
    mobile_sam: str | PathLike[str] | None = None,
    trained: Sequence[str] = (),
    strict: bool = True,
) -> ESPMedSAM:
    """Loads the initial weights of a training; returns the network.

    Args:
        network: the network.
        weights: weights of an ESP-MedSAM; ``None`` for none.
        mobile_sam: MobileSAM's file, whose encoder and two-way transformer are loaded first; ``None`` for none.
        trained, strict: as for :func:`~uniseg_nets.weights.base.load_base`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a file does not fit, or has the other layout.
    """
    if weights is not None:
        _check_layout(network, weights)
    if mobile_sam is not None:
        load_sam_transformer(load_mobile_sam(network, mobile_sam), mobile_sam)
    load_base(network, weights, tuple(trained), strict)
    return network


def _check_layout(network: ESPMedSAM, weights: str | PathLike[str]) -> None:
    """Refuses weights of the other layout: a training that is not strict would load a part of them."""
    decoder = [name for name in read_state(weights)[0] if name.startswith("decoder.queries")]
    layout = "release" if decoder == ["decoder.queries"] else "paper"
    if decoder and layout != network.layout:
        raise ValueError(f"{weights} has layout {layout!r}, the network {network.layout!r}: set layout to {layout}")


def load_teacher(teacher: ESPMedSAM, weights: str | PathLike[str] | None = None, common: bool = False) -> ESPMedSAM:
    """Loads the weights of a distillation's teacher; returns the teacher.

    Args:
        teacher: the network.
        weights: weights of an ESP-MedSAM; ``None`` for SAM's published encoder.
        common: use only the encoder's embedding without controllers (MMDKD's first stage). SAM's encoder then needs no
            ``weights``.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a file does not fit, or parts of the teacher would be random without a file.
    """
    if weights is None and not (common and isinstance(teacher.image_encoder, SAMEncoder)):
        raise ValueError(
            "a teacher of random weights teaches nothing: name its file with teacher_weights "
            "(SAM as published is a teacher of the first stage alone)"
        )
    return start_from(teacher, weights)


def copy_from_teacher(student: ESPMedSAM, teacher: ESPMedSAM) -> ESPMedSAM:
    """Copies the teacher's decoder, prompt generator and recogniser to the student; returns the student.

    Raises:
        ValueError: if the two differ in modalities or in the embedding's size (the tensors are named).
    """
    for name in ("decoder", "prompt_generator", "recogniser"):
        state = getattr(teacher, name).state_dict()
        faults = state_faults(state, getattr(student, name).state_dict())
        if faults:
            raise ValueError(f"the teacher's {name} does not fit the student: {listing(faults, '; ', 5)}")
        getattr(student, name).load_state_dict(state)
    return student
