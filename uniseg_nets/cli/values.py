"""What verbs make of their words before they run: paths that exist, lists, labels, a device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = ["device_of", "existing", "existing_file", "labels_of", "listed"]


def existing(path: str) -> str:
    """A path that a user names.

    Raises:
        FileNotFoundError: there is nothing.
    """
    if not Path(path).exists():
        raise FileNotFoundError(f"no file or folder {path}")
    return path


def existing_file(path: str, what: str) -> str:
    """A file that a user names.

    Args:
        path: as it is named.
        what: what the file is and how the command is called, for the message.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if not Path(path).is_file():
        found = f"{path} is a folder" if Path(path).is_dir() else f"no file or folder {path}"
        raise FileNotFoundError(f"{found}: expected {what}")
    return path


def listed(words: str) -> list[str]:
    """``CT,PET``, also written as a list ``['CT','PET']``, as its parts."""
    return [part.strip(" '\"") for part in words.strip("[]() ").split(",")]


def labels_of(words: str) -> dict[int, str]:
    """``50=organ,100=lesion`` as value -> name.

    Raises:
        ValueError: a part of another form, or the value 0.
    """
    pairs = [part.partition("=") for part in listed(words)]
    if not all(value.strip().isdecimal() and int(value) and name.strip() for value, _, name in pairs):
        raise ValueError(f'labels is {words!r}, expected such as "50=organ,100=lesion"')
    return {int(value): name.strip() for value, _, name in pairs}


def device_of(word: str) -> torch.device:
    """The device of a name such as ``cpu`` or ``cuda:1``.

    Raises:
        ValueError: no such device, or not in this machine.
    """
    import torch

    try:
        device = torch.device(word)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        count = torch.cuda.device_count()
        there = ", ".join(["cpu", *(f"cuda:{index}" for index in range(count))])
        raise ValueError(f"device is {word!r}, this machine has {there}") from error
    return device
