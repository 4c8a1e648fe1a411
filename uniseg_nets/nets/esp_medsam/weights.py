"""Weights of others for ESP-MedSAM: MobileSAM's encoder, SAM's two-way transformer; by name, strictly."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from torch import Tensor, nn

from uniseg_nets.checkpoints import read_state, state_faults
from uniseg_nets.nets.esp_medsam.model import ESPMedSAM

__all__ = ["load_mobile_sam", "load_sam_transformer"]

_ENCODER = "image_encoder."
_TRANSFORMER = "mask_decoder.transformer."
# The classifier of TinyViT's pretraining, which MobileSAM's file still holds, and a table that follows from the window.
_UNUSED = ("norm_head.", "head.")
_TABLE = "attention_bias_idxs"


def load_mobile_sam(network: ESPMedSAM, path: str | PathLike[str]) -> ESPMedSAM:
    """The network with the image encoder of MobileSAM's file (``mobile_sam.pt``).

    Raises:
        FileNotFoundError: no such file.
        ValueError: a tensor of the encoder is missing, left over or of another shape (named).
    """
    state = {
        name: tensor
        for name, tensor in _part(path, _ENCODER).items()
        if not name.startswith(_UNUSED) and not name.endswith(_TABLE)
    }
    _load(network.image_encoder, state, path, "MobileSAM's image encoder")
    return network


def load_sam_transformer(network: ESPMedSAM, path: str | PathLike[str]) -> ESPMedSAM:
    """The network with the decoder's two-way transformer of a SAM or MobileSAM file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a tensor of the transformer is missing, left over or of another shape (named).
    """
    state = {
        name.replace("mlp.lin1", "mlp.linear1").replace("mlp.lin2", "mlp.linear2"): tensor
        for name, tensor in _part(path, _TRANSFORMER).items()
    }
    _load(network.decoder.transformer, state, path, "SAM's two-way transformer")
    return network


def _part(path: str | PathLike[str], prefix: str) -> dict[str, Tensor]:
    if not Path(path).is_file():
        raise FileNotFoundError(f"no file {path}: name a checkpoint of SAM or MobileSAM")
    return {name.removeprefix(prefix): t for name, t in read_state(path)[0].items() if name.startswith(prefix)}


def _load(module: nn.Module, state: dict[str, Tensor], path: str | PathLike[str], what: str) -> None:
    faults = state_faults(state, module.state_dict())
    if faults:
        more = f" and {len(faults) - 5} more" if len(faults) > 5 else ""
        raise ValueError(f"{Path(path)} does not hold {what} of these sizes: {'; '.join(faults[:5])}{more}")
    module.load_state_dict(state)
