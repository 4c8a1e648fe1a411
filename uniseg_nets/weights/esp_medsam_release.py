"""Checkpoints of ESP-MedSAM's release for our network of its layout; by name, strictly.

Seen in the released code (xq141839/ESP-MedSAM, commit 9c3ade6: ``model.py``, ``SAM/modeling/``, ``eval.py``): all names
and shapes, 12,789,587 parameters, and that a file is loaded strictly and holds one modality's controller.
Inferred, since no checkpoint was at hand: that a file holds nothing else, and that the six files have all but the
controller in common, as the authors' training of controllers changes nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from uniseg_nets.nets.esp_medsam.model import ESPMedSAM
from uniseg_nets.weights.checkpoints import read_state, save_weights
from uniseg_nets.weights.esp_medsam import check_state

__all__ = ["convert_release", "load_release"]

_ENCODER = "SemiTViT."
# Beginnings of names: ours -> the release's.
_COMMON = {
    "image_encoder.": _ENCODER,
    "prompt_generator.patches.": "patch_decoder.",
    "prompt_generator.embed.": "dense_prompter.",
    "decoder.queries": "mask_query.weight",
    "decoder.positions.": "prompt_encoder.pe_layer.",
    "decoder.transformer.": "mask_decoder.transformer.",
    "decoder.upscale.": "mask_decoder.output_upscaling.",
    "decoder.filter.0.": "mask_decoder.output_hypernetworks_mlps.0.layers.0.",
    "decoder.filter.2.": "mask_decoder.output_hypernetworks_mlps.0.layers.1.",
    "decoder.filter.4.": "mask_decoder.output_hypernetworks_mlps.0.layers.2.",
}
# The same for the controller's share of a transformer block.
_CONTROLLER = {
    "token": "attn.deep_QKV_embeddings_med",
    "bias": "attn.med_attention_biases",
    "expert.0.": "med_dah.norm.",
    "expert.1.": "med_dah.fc1.",
    "expert.3.": "med_dah.fc2.",
}
_CLASSES = 1000


def load_release(network: ESPMedSAM, files: Mapping[str, str | PathLike[str]]) -> ESPMedSAM:
    """The network with the release's weights.

    What no computation uses is checked and left out: TinyViT's classifier (321,640 parameters at full size) and SAM's
    prompt encoder but for its positions (6,220).

    Args:
        network: of layout "release".
        files: modality -> the release's file with its controller, one for each modality of the network.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another layout, files for other modalities than the network's; a tensor of a file is missing, left
            over or of another shape (named by the release); or the files disagree on a tensor that they share.
    """
    if network.layout != "release":
        raise ValueError(f"a network of layout {network.layout!r}: the release's weights fit layout 'release' alone")
    if set(files) != set(network.modalities):
        raise ValueError(
            f"files for {', '.join(files) or 'no modality'}, the network has {', '.join(network.modalities)}: "
            "name one file for each"
        )
    loaded: dict[str, Tensor] = {}
    for modality, path in files.items():
        found = _read(network, modality, path)
        others = [name for name in found if name in loaded and not torch.equal(found[name], loaded[name])]
        if others:
            raise ValueError(
                f"{Path(path)} differs from {next(iter(files.values()))} in {len(others)} tensors that modalities "
                f"share, such as {_names(network, modality)[others[0]]}: convert files of one training together, or "
                "each alone"
            )
        loaded |= found
    network.load_state_dict(network.state_dict() | loaded)
    return network


def convert_release(
    files: Mapping[str, str | PathLike[str]], target: str | PathLike[str], sizes: dict[str, Any] | None = None
) -> str:
    """Writes the release's weights as ours, of layout "release"; returns the file's SHA-256.

    Args:
        files: see :func:`load_release`; their modalities are those of the result.
        target: the file to write.
        sizes: of the network; the release's by default.

    Raises:
        FileNotFoundError, ValueError: see :func:`load_release`.
    """
    network = load_release(ESPMedSAM(list(files), sizes, layout="release"), files)
    return save_weights(network.state_dict(), target)


def _read(network: ESPMedSAM, modality: str, path: str | PathLike[str]) -> dict[str, Tensor]:
    """A file's tensors by our names."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"no file {path}: name a checkpoint of ESP-MedSAM's release")
    # Data-parallel training puts "module." before every name.
    state = {name.removeprefix("module."): tensor for name, tensor in read_state(path)[0].items()}
    own, names = network.state_dict(), _names(network, modality)
    # A token is (A, C / A) here and (A, 1, C / A) there.
    used = {theirs: own[ours][:, None] if ours.endswith(".token") else own[ours] for ours, theirs in names.items()}
    check_state(state, used | _unused(network), path, f"a released ESP-MedSAM with the controller of {modality}")
    return {ours: state[theirs].reshape(own[ours].shape) for ours, theirs in names.items()}


def _names(network: ESPMedSAM, modality: str) -> dict[str, str]:
    """Our names -> the release's, of all that a modality's masks are computed with."""
    beginnings = dict(_COMMON)
    places = [(stage, block) for stage in (1, 2, 3) for block in range(network.sizes.depths[stage])]
    for number, (stage, block) in enumerate(places):
        theirs = f"{_ENCODER}layers.{stage}.blocks.{block}."
        beginnings |= {f"controllers.{modality}.{number}.{part}": theirs + _CONTROLLER[part] for part in _CONTROLLER}
    names = {}
    for name in network.state_dict():
        beginning = next((beginning for beginning in beginnings if name.startswith(beginning)), None)
        if beginning is not None:
            names[name] = (beginnings[beginning] + name.removeprefix(beginning)).replace("mlp.linear", "mlp.lin")
    return names


def _unused(network: ESPMedSAM) -> dict[str, Tensor]:
    """What a file holds and nothing uses, by the release's names; tensors without content."""
    channels, width = network.sizes.embedding, network.sizes.channels[-1]
    points = [*(f"point_embeddings.{index}" for index in range(4)), "not_a_point_embed", "no_mask_embed"]
    shapes: dict[str, tuple[int, ...]] = {
        f"{_ENCODER}norm_head.weight": (width,),
        f"{_ENCODER}norm_head.bias": (width,),
        f"{_ENCODER}head.weight": (_CLASSES, width),
        f"{_ENCODER}head.bias": (_CLASSES,),
        **{f"prompt_encoder.{name}.weight": (1, channels) for name in points},
        "prompt_encoder.mask_downscaling.0.weight": (4, 1, 2, 2),
        "prompt_encoder.mask_downscaling.3.weight": (16, 4, 2, 2),
        "prompt_encoder.mask_downscaling.6.weight": (channels, 16, 1, 1),
        "prompt_encoder.mask_downscaling.6.bias": (channels,),
        **{f"prompt_encoder.mask_downscaling.{name}": (4,) for name in ("0.bias", "1.weight", "1.bias")},
        **{f"prompt_encoder.mask_downscaling.{name}": (16,) for name in ("3.bias", "4.weight", "4.bias")},
    }
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
