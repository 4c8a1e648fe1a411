"""Reads and checks the entries of a task table."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

from uniseg_nets.io.messages import did_you_mean
from uniseg_nets.tasks.sides import default_mirror_axes
from uniseg_nets.tasks.task import AXES, MASKS, SCHEMES, Scaling, Task

__all__ = ["field_of", "read_entry"]

# Hounsfield window of CT channels (official-release constant).
_CT = {"scheme": "window", "low": -325.0, "high": 325.0}
_Z_SCORE = {"scheme": "z_score"}
_OPTIONAL = ("values", "axes", "scaling", "mask", "mirror_axes", "max_pieces")


def read_entry(entry: Mapping[str, Any], index: int, taken: set[int]) -> Task:
    """The task of a table's entry.

    Args:
        entry: see :class:`~uniseg_nets.tasks.TaskTable`.
        index: the task's place in the table, its id.
        taken: label values of the tasks before it.

    Raises:
        ValueError: if the entry lacks a field, or has a wrong or an unknown one.
    """
    name = field_of(entry, "name")
    if not isinstance(name, str) or not name:
        raise ValueError(f"task name is {name!r}, expected a text")
    channels, classes = (_texts(name, field, field_of(entry, field)) for field in ("channels", "classes"))
    spacing = _list(name, "spacing", field_of(entry, "spacing"))
    unknown = set(entry) - {"name", "channels", "spacing", "classes", *_OPTIONAL}
    if unknown:
        fields = ("name", "channels", "spacing", "classes", *_OPTIONAL)
        near = did_you_mean(sorted(unknown)[0], fields)
        raise ValueError(f"task {name!r} has unknown fields {sorted(unknown)}: {near}fields are {', '.join(fields)}")
    if not channels or not classes:
        raise ValueError(f"task {name!r} needs at least one channel and one class")
    if len(spacing) != 3 or not all(_is_finite(mm) and mm > 0 for mm in spacing):
        raise ValueError(f"task {name!r} has spacing {spacing}: expected three positive numbers, (z, y, x) in mm")
    values = _list(name, "values", entry.get("values") or _free_values(name, len(classes), taken))
    if len(values) != len(classes):
        raise ValueError(f"task {name!r} has {len(classes)} classes and {len(values)} values: give one per class")
    if not all(type(value) is int and 0 < value < 256 for value in values):
        raise ValueError(f"task {name!r} has values {values}: expected whole numbers from 1 to 255")
    axes, mask = entry.get("axes", AXES[0]), entry.get("mask", MASKS[0])
    if axes not in AXES or mask not in MASKS:
        raise ValueError(
            f"task {name!r} has axes {axes!r} and mask {mask!r}: expected one of {', '.join(AXES)} and one of "
            f"{', '.join(MASKS)}"
        )
    mirror_axes = _list(name, "mirror_axes", entry.get("mirror_axes", default_mirror_axes(classes, axes)))
    if not all(type(axis) is int and axis in (0, 1, 2) for axis in mirror_axes) or len(set(mirror_axes)) < len(
        mirror_axes
    ):
        raise ValueError(
            f"task {name!r} has mirror_axes {list(mirror_axes)}: expected any of 0 (z), 1 (y), 2 (x), each once"
        )
    return Task(
        index,
        name,
        channels,
        (float(spacing[0]), float(spacing[1]), float(spacing[2])),
        classes,
        values,
        axes,
        _read_scaling(name, channels, entry.get("scaling")),
        mask,
        mirror_axes,
        _read_max_pieces(name, classes, entry.get("max_pieces", {})),
    )


def _list(name: str, field: str, given: Any) -> tuple[Any, ...]:
    """The members of a list. A text is none: it would be taken apart into its letters."""
    if not isinstance(given, (list, tuple)):
        raise ValueError(f"task {name!r} has {field} {given!r}: expected a list, as [{json.dumps(given, default=str)}]")
    return tuple(given)


def _texts(name: str, field: str, given: Any) -> tuple[str, ...]:
    members = _list(name, field, given)
    if not all(isinstance(member, str) and member for member in members):
        raise ValueError(f"task {name!r} has {field} {given!r}: expected a list of texts")
    return members


def _is_finite(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _free_values(name: str, count: int, taken: set[int]) -> tuple[int, ...]:
    """The values after the highest one of earlier tasks; from there on to 255, else the lowest free ones."""
    first = max(taken, default=0) + 1
    if first + count <= 256:
        return tuple(range(first, first + count))
    free = [value for value in range(1, 256) if value not in taken]
    if len(free) < count:
        raise ValueError(
            f"task {name!r} has {count} classes, and of the label values 1 to 255 only {len(free)} are free"
        )
    return tuple(free[:count])


def _read_max_pieces(name: str, classes: Sequence[str], given: Mapping[str, int]) -> tuple[int, ...]:
    if not isinstance(given, Mapping) or not all(
        key in classes and type(count) is int and count >= 0 for key, count in given.items()
    ):
        raise ValueError(
            f"task {name!r} has max_pieces {given}: expected whole numbers for some of its classes {', '.join(classes)}"
        )
    return tuple(given.get(key, 0) for key in classes)


def _read_scaling(name: str, channels: Sequence[str], given: Sequence[Mapping[str, Any]] | None) -> tuple[Scaling, ...]:
    if given is None:
        given = [_CT if channel.upper() == "CT" else _Z_SCORE for channel in channels]
    given = _list(name, "scaling", given)
    if len(given) != len(channels):
        raise ValueError(f"task {name!r} has scaling for {len(given)} channels, it reads {len(channels)}")
    for one in given:
        numbers = SCHEMES.get(str(one.get("scheme"))) if isinstance(one, Mapping) else None
        if numbers is None or set(one) != {"scheme", *numbers}:
            schemes = "; ".join(f"{scheme} with {', '.join(names) or 'nothing'}" for scheme, names in SCHEMES.items())
            raise ValueError(f"task {name!r} has scaling {one}: expected one of {schemes}")
        if not all(_is_finite(one[key]) for key in numbers):
            raise ValueError(f"task {name!r} has scaling {one}: expected finite numbers for {', '.join(numbers)}")
        if numbers and not (one["low"] < one["high"] and one.get("std", 1) > 0):
            raise ValueError(f"task {name!r} has scaling {one}: low must be below high, and std positive")
    return tuple(Scaling(**one) for one in given)


def field_of(entry: Mapping[str, Any], name: str) -> Any:
    """A field that each entry has.

    Raises:
        ValueError: if it lacks it.
    """
    if not isinstance(entry, Mapping) or name not in entry:
        raise ValueError(f"task entry {entry!r} lacks the field {name!r}")
    return entry[name]
