"""What verbs make of their words before they run: paths, lists, labels."""

from __future__ import annotations

from pathlib import Path

from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.weights.shipped import files_by_name

__all__ = [
    "at_least",
    "existing",
    "existing_file",
    "labels_of",
    "listed",
    "new_file",
    "new_folder",
    "weights_file",
    "whole_numbers",
]


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
        problem = f"{path} is a folder" if Path(path).is_dir() else f"no file or folder {path}"
        raise FileNotFoundError(f"{problem}: expected {what}")
    return path


def new_folder(path: str, name: str = "OUTPUT") -> str:
    """A folder to write to; it need not exist.

    Raises:
        FileExistsError: a file has this path.
    """
    if Path(path).is_file():
        raise FileExistsError(f"{path} is a file: expected {name}, a folder")
    return path


def new_file(path: str, name: str) -> str:
    """A file to write; it may exist.

    Raises:
        IsADirectoryError: a folder has this path.
    """
    if Path(path).is_dir():
        raise IsADirectoryError(f"{path} is a folder: expected {name}, a file")
    return path


def at_least(minimum: int, **numbers: int) -> None:
    """Refuses options with smaller numbers.

    Raises:
        ValueError: a number is smaller; the message names its option.
    """
    for name, number in numbers.items():
        if number < minimum:
            raise ValueError(f"--{name} is {number}, expected {minimum} or more")


def weights_file(weights: str) -> str:
    """The file of weights of this distribution, such as ``open``, by their name; any other word is a path."""
    return files_by_name(bundle_folder("uniseg_upstream")).get(weights, weights)


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


def whole_numbers(words: str, name: str) -> list[int]:
    """``0,2`` as its numbers.

    Raises:
        ValueError: a part is no whole number, or stands twice.
    """
    parts = listed(words)
    if not all(part.isdecimal() for part in parts) or len(set(parts)) < len(parts):
        raise ValueError(f'{name} is {words!r}, expected different whole numbers, such as "0,2"')
    return [int(part) for part in parts]
