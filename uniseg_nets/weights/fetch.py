"""Downloads the authors' weights, or takes them from a file, and converts them."""

from __future__ import annotations

import logging
import tempfile
from os import PathLike
from pathlib import Path

from uniseg_nets.io.errors import not_installed
from uniseg_nets.weights.checkpoints import Weights, convert
from uniseg_nets.weights.licence import AUTHORS_TERMS

__all__ = ["fetch_weights"]

logger = logging.getLogger(__name__)

# Google Drive id in the README of the authors' repository.
_DRIVE_ID = "1Ldgd5Ebc8VQrvGIpIgzUG2PTSDPUpEQJ"
_ADDRESS = f"https://drive.google.com/file/d/{_DRIVE_ID}/view"
_REMEDY = f"download {_ADDRESS} with a browser on any machine and run `uniseg fetch-weights --file DOWNLOADED`"


def fetch_weights(target: str | PathLike[str], file: str | PathLike[str] | None = None) -> tuple[Weights, str]:
    """Writes the official weights in our layout, with their SHA-256 and their licence beside them.

    Args:
        target: file to write, whole or not at all.
        file: a local checkpoint; ``None`` to download the authors' (a few hundred MB).

    Returns:
        The weights, and the SHA-256 of the target.

    Raises:
        FileExistsError: if the target exists already.
        PermissionError: if its folder cannot be written to; nothing is downloaded.
        NotInstalledError: if gdown, which downloads, is not installed.
        ConnectionError: if the download fails; the message says how to do it by hand.
        FileNotFoundError, ValueError: as for :func:`uniseg_nets.weights.checkpoints.read_weights`.
    """
    target = Path(target)
    if target.exists():
        raise FileExistsError(
            f"{target} exists already, perhaps as the weights of a training: move it away, or name another file with "
            "`--output`"
        )
    _check_writable(target.parent)
    with tempfile.TemporaryDirectory() as folder:
        if file is None:
            file = Path(folder) / "official.pth"
            _download(file)
        return convert(file, target, terms=AUTHORS_TERMS)


def _check_writable(folder: Path) -> None:
    """Makes the folder of the target, and tries it before hundreds of MB are downloaded for it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise PermissionError(
            f"{folder} cannot be written to ({error.strerror}): name a file elsewhere with `--output FILE`, and use it "
            "with `--weights FILE`"
        ) from error


def _download(target: Path) -> None:
    try:
        import gdown
    except ImportError as error:
        raise not_installed("the download", "gdown", instead=_REMEDY) from error
    logger.info("downloading %s", _ADDRESS)
    try:
        done = gdown.download(id=_DRIVE_ID, output=str(target))
    except Exception as error:  # gdown raises errors of its own, of requests and of the operating system
        raise ConnectionError(f"the download failed ({error}): behind a proxy or offline, {_REMEDY}") from error
    if done is None or not target.is_file():
        raise ConnectionError(f"the download failed: {_REMEDY}")
