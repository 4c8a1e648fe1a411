"""Small texts that belong to a weights file and lie beside it, such as ``FILE.license``."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from uniseg_nets.io.files import atomic_path

__all__ = ["read_beside", "write_beside"]


def read_beside(weights: str | PathLike[str], ending: str) -> str | None:
    """The text in ``FILE.ENDING``; ``None`` if there is no such file.

    Raises:
        ValueError: the file holds no text; the message names it.
    """
    file = _beside(weights, ending)
    try:
        return file.read_text(encoding="utf-8") if file.is_file() else None
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is damaged, it holds no text: copy it again, or delete it") from error


def write_beside(weights: str | PathLike[str], ending: str, text: str | None) -> None:
    """Writes ``FILE.ENDING``; without a text, deletes that of the weights file that was replaced."""
    file = _beside(weights, ending)
    if text is None:
        file.unlink(missing_ok=True)
        return
    with atomic_path(file) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _beside(weights: str | PathLike[str], ending: str) -> Path:
    path = Path(weights)
    return path.with_name(f"{path.name}.{ending}")
