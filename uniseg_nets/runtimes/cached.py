"""A disk cache of OpenVINO models, keyed by the network that they were converted from.

The one rule: cached models are used for a network only if its weights, its modules with their settings, and the
versions of OpenVINO and of this package are unchanged.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import openvino as ov
from torch import nn

from uniseg_nets.runtimes.core import core
from uniseg_nets.version import __version__

__all__ = ["cached_models", "network_digest", "store_models", "stored_models", "user_cache"]

logger = logging.getLogger(__name__)

# Attributes of every module, which do not affect its computation.
_OF_ANY_MODULE = frozenset(vars(nn.Module()))


def user_cache() -> Path | None:
    """The user's cache folder for converted networks; ``None``, with a warning, for a user without a home."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "uniseg_nets" / "openvino"
    except RuntimeError as error:
        logger.warning("converted networks are not cached: %s; name a folder in XDG_CACHE_HOME", error)
        return None


def cached_models(
    network: nn.Module, variant: str, names: Sequence[str], convert: Callable[[], list[Any]], cache_dir: Path | None
) -> list[Any]:
    """The OpenVINO models of a network, read from the cache, or converted and written to it.

    If the cache cannot be written, the models are used from memory, with a warning.

    Args:
        network: the network.
        variant: further properties of the models, such as sizes, as text.
        names: names of the models' files.
        convert: converts the network to models, in the order of the names.
        cache_dir: folder of the cache; ``None`` for no cache.

    Returns:
        The models, in the order of the names.
    """
    if cache_dir is None:
        return convert()
    folder = cache_dir / network_digest(network, variant)
    if all((folder / f"{name}.xml").is_file() for name in names):
        try:
            return stored_models(folder, names)
        except RuntimeError as error:  # such as a lost file of weights
            logger.warning("the converted network in %s is damaged and is made again: %s", folder, error)
            shutil.rmtree(folder, ignore_errors=True)
    models = convert()
    try:
        store_models(folder, dict(zip(names, models)))
    except (OSError, RuntimeError) as error:  # OpenVINO raises a RuntimeError for a full disk
        logger.warning("the converted network is not cached: %s; name a folder in XDG_CACHE_HOME", error)
    return models


def stored_models(folder: Path, names: Sequence[str]) -> list[Any]:
    """Reads models that :func:`store_models` wrote."""
    return [core().read_model(folder / f"{name}.xml") for name in names]


def store_models(folder: Path, models: Mapping[str, Any], texts: Mapping[str, str] | None = None) -> None:
    """Writes models, name -> model, and text files, name -> text, to a new folder, whole or not at all.

    Nothing is written if another process wrote the folder first.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=folder.parent) as temporary:
        for name, model in models.items():
            ov.save_model(model, Path(temporary) / f"{name}.xml", compress_to_fp16=False)
        for name, text in (texts or {}).items():
            (Path(temporary) / name).write_text(text, encoding="utf-8")
        with contextlib.suppress(OSError):  # another process was first
            Path(temporary).rename(folder)
            Path(temporary).mkdir()


def network_digest(network: nn.Module, variant: str) -> str:
    """A hash of all that affects a network's computation: versions, ``variant``, modules with settings, weights."""
    settings = {name: _settings(module) for name, module in network.named_modules()}
    described = json.dumps([ov.__version__, __version__, variant, repr(network), settings], sort_keys=True)
    digest = hashlib.sha256(described.encode())
    for name, tensor in network.state_dict().items():
        digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()[:32]


def _settings(module: nn.Module) -> dict[str, str]:
    """The numbers, texts and booleans among a module's attributes."""
    own = {name: value for name, value in vars(module).items() if name not in _OF_ANY_MODULE}
    return {name: repr(value) for name, value in own.items() if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(_is_plain(part) for pair in value.items() for part in pair)
    return value is None or isinstance(value, (bool, int, float, str))
