"""Weights as ``.safetensors``: a JSON header and tensors, without pickle, so that reading a file runs no code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from torch import Tensor

from uniseg_nets.io.errors import not_installed
from uniseg_nets.version import __version__

__all__ = ["is_safetensors", "load_safetensors", "safetensors_library", "save_safetensors"]


def is_safetensors(path: Path) -> bool:
    """Whether a path has the ending ``.safetensors``."""
    return path.suffix == ".safetensors"


def safetensors_library() -> ModuleType:
    """The library that reads and writes these files.

    Raises:
        NotInstalledError: if it is not installed.
    """
    try:
        import safetensors.torch
    except ImportError as error:
        raise not_installed("a file that ends in .safetensors", "safetensors") from error
    return safetensors.torch


def load_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, name -> tensor."""
    return dict(safetensors_library().load_file(path))


def save_safetensors(state: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str]) -> None:
    """Writes tensors with a header.

    Args:
        state: name -> tensor.
        path: the file.
        metadata: further strings for the header, in addition to the format and our version.
    """
    header = {"format": "pt", "uniseg_nets": __version__, **metadata}
    tensors = {name: tensor.contiguous() for name, tensor in state.items()}
    # A file that the library itself writes would be readable by its owner only.
    path.write_bytes(safetensors_library().save(tensors, header))
