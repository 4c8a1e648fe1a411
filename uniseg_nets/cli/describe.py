"""What a verb takes, from its signature and docstring: for people in :mod:`help`, for programs in ``info``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from inspect import Parameter
from typing import Any, get_type_hints

from fire import docstrings

from uniseg_nets.cli.arguments import allowed, is_word, short_flags

__all__ = ["Argument", "arguments_of", "summary_of"]


@dataclass(frozen=True)
class Argument:
    """One word or option of a verb.

    Attributes:
        name: as in ``--name``.
        is_option: whether it is ``--name``; otherwise it is a word with a place.
        required: whether the verb needs it.
        repeated: whether any number of words is taken.
        short: letter of its short flag.
        value: allowed values, in words: ``true|false``, ``number``.
        default: its value if it is not given.
        text: its description.
    """

    name: str
    is_option: bool
    required: bool
    repeated: bool
    short: str | None
    value: str
    default: Any
    text: str


def arguments_of(verb: Callable[..., None]) -> list[Argument]:
    """The arguments of a verb, in the order of its signature."""
    listed = docstrings.parse(inspect.getdoc(verb)).args or []
    described = {one.name: " ".join(one.description.split()) for one in listed}
    hints, parameters = get_type_hints(verb), inspect.signature(verb).parameters
    letters = {name: letter for letter, name in short_flags(parameters).items()}
    arguments = []
    for parameter in parameters.values():
        repeated, given = parameter.kind is Parameter.VAR_POSITIONAL, parameter.default is not Parameter.empty
        arguments.append(
            Argument(
                name=parameter.name,
                is_option=not is_word(parameter.name, parameters),
                required=not given and not repeated,
                repeated=repeated,
                short=letters.get(parameter.name),
                value=allowed(hints[parameter.name]),
                default=parameter.default if given else None,
                text=described.get(parameter.name, ""),
            )
        )
    return arguments


def summary_of(verb: Callable[..., None]) -> str:
    """The first sentence on a verb."""
    return (inspect.getdoc(verb) or "").splitlines()[0]
