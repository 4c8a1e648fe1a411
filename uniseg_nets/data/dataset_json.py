"""The labels in nnU-Net's ``dataset.json``, in the layouts of its versions 1 and 2."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

__all__ = ["labels_of", "refuse_ignored"]

_IGNORED = "ignore"  # nnU-Net's name for voxels that are neither a class nor background


def labels_of(content: Mapping[str, Any], path: str | PathLike[str]) -> dict[int, str] | None:
    """Value -> name of the foreground classes; ``None`` if the file names no labels.

    Args:
        content: content of ``dataset.json``: ``{"labels": {"1": "liver"}}`` or ``{"labels": {"liver": 1}}``.
        path: path of the file, for the message.

    Raises:
        ValueError: if there are regions, that is labels of several values, or other label sets.
    """
    named = content.get("labels")
    if not isinstance(named, Mapping):
        return None
    pairs: dict[int, str] = {}
    for key, value in named.items():
        name, number = (value, key) if str(key).isdecimal() else (key, value)
        if not str(number).isdecimal():
            raise ValueError(f"{path}: label {key!r} is {value!r}; regions and other label sets are not supported")
        pairs[int(number)] = str(name)
    return {number: pairs[number] for number in sorted(pairs) if number}


def refuse_ignored(labels: Mapping[int, str], where: str | PathLike[str]) -> None:
    """Checks that no label marks voxels to ignore: they would become a class.

    Raises:
        ValueError: if there is such a label.
    """
    ignored = [value for value, name in labels.items() if name.lower() == _IGNORED]
    if ignored:
        raise ValueError(
            f"{where}: label {ignored[0]} is {_IGNORED!r}, nnU-Net's name for voxels to leave out; training and "
            "metrics here use every voxel: label those voxels as their class or as background"
        )
