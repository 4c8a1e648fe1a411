"""OpenVINO models that are converted once and kept on disk, by the weights they were made of."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import openvino as ov
from torch import nn

__all__ = ["kept_models", "user_cache"]


def user_cache() -> Path:
    """Where this user's converted networks are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "uniseg_nets" / "openvino"


def kept_models(
    network: nn.Module, about: str, names: Sequence[str], convert: Callable[[], list[Any]], cache_dir: Path | None
) -> list[Any]:
    """A network's OpenVINO models, read from the cache, or converted and written to it.

    Args:
        network: whose weights they hold.
        about: what else decides about the models, such as sizes.
        names: of the models' files.
        convert: makes them, in the order of the names.
        cache_dir: the cache; ``None`` keeps nothing.
    """
    if cache_dir is None:
        return convert()
    digest = hashlib.sha256(f"{ov.__version__} {about}".encode())
    for name, tensor in network.state_dict().items():
        digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
    folder = cache_dir / digest.hexdigest()[:32]
    files = [folder / f"{name}.xml" for name in names]
    if not folder.is_dir():
        cache_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".writing-", dir=cache_dir) as temporary:
            for model, file in zip(convert(), files):
                ov.save_model(model, Path(temporary) / file.name, compress_to_fp16=False)
            with contextlib.suppress(OSError):  # another process was first
                Path(temporary).rename(folder)
                Path(temporary).mkdir()
    return [ov.Core().read_model(file) for file in files]
