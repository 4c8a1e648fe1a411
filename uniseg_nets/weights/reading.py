"""Reading of weights files: no code of a file is run, and a damaged file is refused."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from uniseg_nets.io.files import sha256_of_weights
from uniseg_nets.weights.beside import read_beside
from uniseg_nets.weights.safetensors_file import is_safetensors, load_safetensors, safetensors_library

__all__ = ["read_file"]

_DIGEST = re.compile(r"\b[0-9a-fA-F]{64}\b")


def read_file(path: Path) -> Any:
    """The content of a PyTorch or ``.safetensors`` file, on the CPU.

    A file with a SHA-256 beside it (``FILE.sha256``) must have that; of a PyTorch file without one, the checksums in
    the archive must fit.

    Raises:
        ValueError: the file has another SHA-256, is damaged, holds more than tensors and numbers, or is of another
            kind.
        NotInstalledError: the library for a ``.safetensors`` file is missing.
    """
    checked = _has_digest_beside(path)
    if is_safetensors(path):
        safetensors_library()  # that it is missing is no fault of the file
    try:
        if is_safetensors(path):
            return load_safetensors(path)
        if not checked:
            _refuse_damaged(path)
        with torch.serialization.safe_globals(_numpy_types()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a file of another kind can raise any error
        if is_safetensors(path) or isinstance(error, OSError):
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        else:
            reason = _reason(error)
        kind = "safetensors" if is_safetensors(path) else "PyTorch"
        raise ValueError(f"{path} cannot be read as {kind} weights: {reason}") from error


def _has_digest_beside(path: Path) -> bool:
    """Whether a SHA-256 is beside a file. It must be the file's."""
    text = read_beside(path, "sha256")
    if text is None:
        return False
    beside = f"{path.name}.sha256"
    digests = {line.split()[-1].lstrip("*"): found[0] for line in text.splitlines() if (found := _DIGEST.search(line))}
    told = digests.get(path.name) or next(iter(digests.values()), None)
    if told is None:
        raise ValueError(
            f"{beside} beside {path} holds no SHA-256 (64 hexadecimal digits): copy it again, or delete it"
        )
    digest = sha256_of_weights(path)
    if digest != told.lower():
        raise ValueError(
            f"{path} is not the file that {beside} beside it describes: its SHA-256 is {digest[:12]}..., expected "
            f"{told[:12].lower()}...: copy or download both again; if you replaced the weights yourself, delete "
            f"{beside}"
        )
    return True


def _refuse_damaged(path: Path) -> None:
    """Compares the checksums of PyTorch's archive, which PyTorch does not."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                raise ValueError("its checksums do not fit")


def _reason(error: Exception) -> str:
    """Why PyTorch did not read a file; its own words advise to load the file without protection."""
    code = re.search(r"GLOBAL (\w[\w.]*\.[\w.]+)", str(error))
    if code:
        return (
            f"it holds code or objects ({code[1]}), not tensors alone, and is not loaded, since code in a file can do "
            "anything: get its tensors (a state dict) from where it comes from"
        )
    return "it is no PyTorch checkpoint, or a damaged one: copy or download it again"


def _numpy_types() -> list[Any]:
    """The types of the numpy scalars (losses, metrics) in an official file, with the names of numpy 1 and 2."""
    scalar = np.float64(0).__reduce__()[0]
    dtypes = [type(np.dtype(kind)) for kind in ("float64", "float32", "int64", "int32", "bool")]
    return [(scalar, "numpy.core.multiarray.scalar"), (scalar, "numpy._core.multiarray.scalar"), np.dtype, *dtypes]
