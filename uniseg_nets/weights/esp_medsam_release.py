"""Loads checkpoints of ESP-MedSAM's release into a network of the release's layout, strictly by name.

The released code (xq141839/ESP-MedSAM, commit 9c3ade6: ``model.py``, ``SAM/modeling/``, ``eval.py``) shows all names
and shapes, 12,789,587 parameters, that a file is loaded strictly, and that it holds the controller of one modality.
No checkpoint was available. Two things are therefore inferred: a file holds nothing else, and the six files share all
tensors but the controller, since the authors' training of controllers changes nothing else.
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
from uniseg_nets.weights.licence import strictest, terms_of

__all__ = ["convert_release", "load_release"]

_ENCODER = "SemiTViT."
# Prefixes of tensor names: ours -> the release's.
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
# The same for the controller of a transformer block.
_CONTROLLER = {
    "token": "attn.deep_QKV_embeddings_med",
    "bias": "attn.med_attention_biases",
    "expert.0.": "med_dah.norm.",
    "expert.1.": "med_dah.fc1.",
    "expert.3.": "med_dah.fc2.",
}
_CLASSES = 1000


def load_release(network: ESPMedSAM, files: Mapping[str, str | PathLike[str]]) -> ESPMedSAM:
    """Loads the release's weights; returns the network.

    Unused tensors are checked and left out: TinyViT's classifier (321,640 parameters at full size) and SAM's prompt
    encoder except for its position encoding (6,220).

    Args:
        network: a network of layout "release".
        files: modality -> the release's file with its controller, one per modality of the network.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the layout is another one, the files are for other modalities than the network's, tensors of a
            file are missing, unexpected or of another shape (with the release's names), or the files differ in a
            shared tensor.
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
        state = _read(network, modality, path)
        others = [name for name in state if name in loaded and not torch.equal(state[name], loaded[name])]
        if others:
            raise ValueError(
                f"{Path(path)} differs from {next(iter(files.values()))} in {len(others)} tensors that modalities "
                f"share, such as {_names(network, modality)[others[0]]}: convert files of one training together, or "
                "each alone"
            )
        loaded |= state
    network.load_state_dict(network.state_dict() | loaded)
    return network


def convert_release(
    files: Mapping[str, str | PathLike[str]], target: str | PathLike[str], sizes: dict[str, Any] | None = None
) -> str:
    """Converts the release's weights to a file of ours with layout "release"; returns its SHA-256.

    It has the strictest of the licence terms that lie beside the files.

    Args:
        files: as for :func:`load_release`; the network gets their modalities.
        target: file to write.
        sizes: sizes of the network; the release's by default.

    Raises:
        FileNotFoundError, ValueError: as for :func:`load_release`.
    """
    network = load_release(ESPMedSAM(list(files), sizes, layout="release"), files)
    return save_weights(network.state_dict(), target, terms=strictest(map(terms_of, files.values())))


def _read(network: ESPMedSAM, modality: str, path: str | PathLike[str]) -> dict[str, Tensor]:
    """The tensors of a file under our names."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"no file {path}: name a checkpoint of ESP-MedSAM's release")
    # Data-parallel training adds "module." to every name.
    state = {name.removeprefix("module."): tensor for name, tensor in read_state(path)[0].items()}
    own, names = network.state_dict(), _names(network, modality)
    # A token is (A, C / A) here and (A, 1, C / A) there.
    used = {theirs: own[ours][:, None] if ours.endswith(".token") else own[ours] for ours, theirs in names.items()}
    check_state(state, used | _unused(network), path, f"a released ESP-MedSAM with the controller of {modality}")
    return {ours: state[theirs].reshape(own[ours].shape) for ours, theirs in names.items()}


def _names(network: ESPMedSAM, modality: str) -> dict[str, str]:
    """Our names -> the release's, of all tensors that a modality uses."""
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
    """The unused tensors of a file, with the release's names, as empty tensors."""
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
