"""What nnU-Net's ``dataset.json`` says of labels, in the layouts of its versions 1 and 2."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

__all__ = ["labels_of", "refuse_ignored"]

_IGNORED = "ignore"  # nnU-Net's word for voxels that count neither as a class nor as background


def labels_of(content: Mapping[str, Any], path: str | PathLike[str]) -> dict[int, str] | None:
    """Value -> name of the foreground classes; ``None`` where the file names no labels.

    Args:
        content: of ``dataset.json``: ``{"labels": {"1": "liver"}}`` or ``{"labels": {"liver": 1}}``.
        path: of the file, for the message.

    Raises:
        ValueError: regions, that is labels of several values; or other label sets.
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
    """Makes sure that no label stands for voxels to leave out, which would become a class.

    Raises:
        ValueError: there is one.
    """
    ignored = [value for value, name in labels.items() if name.lower() == _IGNORED]
    if ignored:
        raise ValueError(
            f"{where}: label {ignored[0]} is {_IGNORED!r}, nnU-Net's word for voxels that are not to count; training "
            "and figures here count every voxel: give those voxels the class or the background that they are"
        )
