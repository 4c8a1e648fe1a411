"""Weights as ``.safetensors``: tensors behind a JSON header and no pickle, so that reading one runs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from torch import Tensor

from uniseg_nets.version import __version__

__all__ = ["is_safetensors", "load_safetensors", "safetensors_library", "save_safetensors"]


def is_safetensors(path: Path) -> bool:
    """Whether a file is, or is to be, of this kind: by its ending."""
    return path.suffix == ".safetensors"


def safetensors_library() -> ModuleType:
    """The library that reads and writes these files.

    Raises:
        ValueError: it is not installed; says how to get it.
    """
    try:
        import safetensors.torch
    except ImportError as error:
        raise ValueError("files that end in .safetensors need a library: `pip install safetensors`") from error
    return safetensors.torch


def load_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, name -> tensor."""
    return dict(safetensors_library().load_file(path))


def save_safetensors(state: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str]) -> None:
    """Writes tensors with a header.

    Args:
        state: name -> tensor.
        path: the file.
        metadata: further strings for the header, beside the format and our version.
    """
    header = {"format": "pt", "uniseg_nets": __version__, **metadata}
    tensors = {name: tensor.contiguous() for name, tensor in state.items()}
    # The library's own file could be read by its owner alone.
    path.write_bytes(safetensors_library().save(tensors, header))
