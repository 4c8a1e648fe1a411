"""Checks and converts the values of a command before it runs: paths, lists, labels."""

from __future__ import annotations

import os
import re
from pathlib import Path

from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.plan.read import read_plan
from uniseg_nets.weights.shipped import named_weights

__all__ = [
    "absent_file",
    "at_least",
    "bundle_and_overlays",
    "existing",
    "existing_file",
    "labels_of",
    "listed",
    "new_file",
    "new_folder",
    "one_or_several",
    "regular_expression",
    "share_below_one",
    "weights_file",
    "whole_numbers",
]


def existing(path: str) -> str:
    """The path of an existing file or folder.

    Raises:
        FileNotFoundError: nothing exists there.
    """
    if not Path(path).exists():
        raise FileNotFoundError(f"no file or folder {path}")
    return path


def existing_file(path: str, what: str) -> str:
    """The path of an existing file.

    Args:
        path: the path.
        what: what the file is and how the command is called, for the message.

    Raises:
        FileNotFoundError: no file exists there.
    """
    if not Path(path).is_file():
        problem = f"{path} is a folder" if Path(path).is_dir() else f"no file or folder {path}"
        raise FileNotFoundError(f"{problem}: expected {what}")
    return path


def new_folder(path: str, name: str = "OUTPUT") -> str:
    """The path of a folder to write to, which may exist already.

    Raises:
        FileExistsError: the path, or a part of it, is a file.
    """
    for part in (Path(path), *Path(path).parents):
        if part.is_file():
            raise FileExistsError(f"{part} is a file: expected {name}, a folder")
    return path


def new_file(path: str, name: str) -> str:
    """The path of a file to write, which may exist already.

    Raises:
        FileExistsError: its folder, or a part of that, is a file.
        IsADirectoryError: a folder has this path.
    """
    if Path(path).is_dir():
        raise IsADirectoryError(f"{path} is a folder: expected {name}, a file")
    new_folder(str(Path(path).parent), f"the folder of {name}")
    return path


def absent_file(path: str, name: str) -> str:
    """The path of a file to write, which must not exist.

    Raises:
        FileExistsError: the file exists, or its folder, or a part of that, is a file.
        IsADirectoryError: a folder has this path.
    """
    if Path(new_file(path, name)).exists():
        raise FileExistsError(f"{path} exists already: choose another {name}, or move it away")
    return path


def at_least(minimum: int, **numbers: int) -> None:
    """Refuses numbers below a minimum.

    Args:
        minimum: the minimum.
        numbers: option -> number.

    Raises:
        ValueError: a number is smaller; the message names its option.
    """
    for name, number in numbers.items():
        if number < minimum:
            raise ValueError(f"--{name} is {number}, expected {minimum} or more")


def share_below_one(name: str, number: float) -> float:
    """A number from 0 up to but not including 1.

    Raises:
        ValueError: the number is outside.
    """
    if not 0 <= number < 1:
        raise ValueError(f"{name} is {number:g}, expected a share from 0 up to, not including, 1")
    return number


def regular_expression(name: str, text: str | None) -> str | None:
    """A text, checked to be a regular expression; ``None`` stays.

    Raises:
        ValueError: the text is no regular expression.
    """
    try:
        re.compile(text or "")
    except re.error as error:
        raise ValueError(f"{name} is {text!r}, expected a regular expression: {error}") from error
    return text


def weights_file(weights: str) -> str:
    """The file of weights: a path, or the name of shipped weights such as ``open``.

    Raises:
        FileNotFoundError: the file does not exist; the message has the nearest name.
    """
    return str(named_weights(weights, bundle_folder("uniseg_upstream")))


def bundle_and_overlays(bundle: str | None, plan: str | None) -> tuple[str, list[str]]:
    """The bundle that segments, and the configs over its inference; by default the one for a plan, or for no plan.

    Raises:
        FileNotFoundError, ValueError: the plan does not exist, or is none.
    """
    if plan is None:
        return bundle or "uniseg_upstream", []
    file = Path(existing_file(plan, "--plan, a file of `uniseg plan`")).resolve()
    read_plan(file)
    return bundle or "uniseg_finetune", [str(file)]


def listed(words: str) -> list[str]:
    """The parts of a text such as ``CT,PET``, which may also be written as a list ``['CT','PET']``.

    The path of an existing file is one part, even with a comma.

    Raises:
        ValueError: a part is empty.
    """
    if os.path.isfile(words):  # noqa: PTH113 - Path.is_file raises if the text is too long for a path
        return [words]
    parts = [part.strip(" '\"") for part in words.strip("[]() ").split(",")]
    if not all(parts):
        raise ValueError(f"{words!r} has an empty part: write values with a comma between them, such as a,b")
    return parts


def labels_of(words: str) -> dict[int, str]:
    """Value -> name, from a text such as ``50=organ,100=lesion``.

    Raises:
        ValueError: a part has another form, a value is 0, or a value occurs twice.
    """
    pairs = [part.partition("=") for part in listed(words)]
    if not all(value.strip().isdecimal() and int(value) and name.strip() for value, _, name in pairs):
        raise ValueError(f'labels is {words!r}, expected such as "50=organ,100=lesion"')
    labels = {int(value): name.strip() for value, _, name in pairs}
    if len(labels) < len(pairs):
        raise ValueError(f"labels is {words!r}, expected a different value for each name")
    return labels


def whole_numbers(words: str, name: str) -> list[int]:
    """The numbers of a text such as ``0,2``.

    Raises:
        ValueError: a part is no whole number, or occurs twice.
    """
    parts = listed(words)
    if not all(part.isdecimal() for part in parts) or len(set(parts)) < len(parts):
        raise ValueError(f'{name} is {words!r}, expected different whole numbers, such as "0,2"')
    return [int(part) for part in parts]


def one_or_several(words: str) -> str | list[str]:
    """The task that a text names, or the tasks, see :func:`listed`."""
    parts = listed(words)
    return parts[0] if len(parts) == 1 else parts
