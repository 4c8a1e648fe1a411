"""PyTorch's files, written with an error that names the file and the room that is left."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch

__all__ = ["save_torch"]


def save_torch(content: Any, temporary: Path, path: Path) -> None:
    """Writes a file of PyTorch.

    Args:
        content: what to write.
        temporary: the file to write, which takes the place of ``path`` afterwards.
        path: the file to name in an error.

    Raises:
        OSError: the file cannot be written, as on a full disk.
    """
    try:
        torch.save(content, temporary)
    except RuntimeError as error:  # of a full disk, PyTorch says neither that nor which file it was
        free = shutil.disk_usage(temporary.parent).free / 2**20
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise OSError(
            f"{path} cannot be written, {free:.0f} MiB are free there: make room, and repeat the command, a training "
            f"with --resume True (PyTorch says: {reason})"
        ) from error
