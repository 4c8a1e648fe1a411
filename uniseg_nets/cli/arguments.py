"""Checks the words of a command against the signature of its verb.

The one rule: a verb runs only after every word is understood. Positional parameters of a verb are words in this order,
keyword-only parameters are options, and annotations give the types and choices of the values.
"""

from __future__ import annotations

import functools
import inspect
import math
import re
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from fire import decorators

from uniseg_nets.io.messages import did_you_mean

__all__ = ["Call", "NotUnderstoodError", "allowed", "deferred", "is_word", "short_flags", "spelled_out", "usage"]

# Short flags as users of TotalSegmentator and nnU-Net type them, and the parameters that they may stand for.
_SHORT: Mapping[str, tuple[str, ...]] = {
    "i": ("input", "source", "data", "raw"),
    "o": ("output", "target", "out", "app"),
    "t": ("task",),
    "w": ("weights",),
    "m": ("mode", "modality"),
    "d": ("device",),
}
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
_FLAG = re.compile(r"--?[A-Za-z]")


class NotUnderstoodError(ValueError):
    """A command is not understood; nothing has run."""


@dataclass(frozen=True)
class Call:
    """A verb with its checked arguments, not yet run."""

    verb: Callable[..., None]
    arguments: inspect.BoundArguments

    def run(self) -> None:
        self.verb(*self.arguments.args, **self.arguments.kwargs)


def deferred(verb: Callable[..., None]) -> Callable[..., Call]:
    """A function for fire with the same parameters, which takes texts and returns the call instead of running it.

    Raises:
        NotUnderstoodError: raised by that function if a value has a wrong type or is none of the choices.
    """
    hints, signature = get_type_hints(verb), inspect.signature(verb)

    @decorators.SetParseFn(str)  # fire's own reading makes numbers of names: 1.10 would become 1.1
    @functools.wraps(verb)
    def call(*args: Any, **kwargs: Any) -> Call:
        bound = signature.bind(*args, **kwargs)
        for name, value in bound.arguments.items():
            if isinstance(value, str):
                bound.arguments[name] = _converted(_shown(name, signature.parameters), value, hints[name])
        return Call(verb, bound)

    return call


def spelled_out(name: str, words: Sequence[str], verb: Callable[..., None]) -> list[str]:
    """The words of a verb in an unambiguous form for fire: positional words, then options as ``--name=value``.

    Raises:
        NotUnderstoodError: the verb lacks an option; an option has no value or is given twice; or there are too many or
            too few words, or ``--``.
    """
    if "--" in words:
        raise NotUnderstoodError("-- has no meaning here: leave it out; a path that begins with a hyphen is ./-PATH")
    left = list(words)
    parameters, hints = inspect.signature(verb).parameters, get_type_hints(verb)
    positional: list[str] = []
    options: dict[str, str] = {}
    while left:
        word = left.pop(0)
        if not _FLAG.match(word):
            positional.append(word)
            continue
        typed, equals, value = word.partition("=")
        parameter, negated = _option(name, typed, parameters, hints)
        if parameter in options:
            raise NotUnderstoodError(f"{typed} is given twice")
        if negated:
            if equals:
                raise NotUnderstoodError(f"{typed} takes no value, got {value!r}")
            value = "false"
        elif not equals:
            value = _value(typed, left, is_bool=bool in _kinds(hints[parameter]))
        options[parameter] = value
    if "-" in positional:
        raise NotUnderstoodError("- stands for no file: scans are not read from standard input")
    positional = _with_target_last(positional, options, parameters)
    _check_count(name, positional, options, verb)
    return [*positional, *(f"--{option}={value}" for option, value in options.items())]


def _with_target_last(words: list[str], options: dict[str, str], parameters: Mapping[str, Parameter]) -> list[str]:
    """Takes the last word of a verb with any number of files as its required option, like the target of ``cp``."""
    for option, parameter in parameters.items():
        target = parameter.kind is Parameter.KEYWORD_ONLY and is_word(option, parameters)
        if target and words and option not in options:
            options[option] = words[-1]
            return words[:-1]
    return words


def _check_count(name: str, words: Sequence[str], options: Mapping[str, str], verb: Callable[..., None]) -> None:
    parameters = inspect.signature(verb).parameters
    kinds = {option: parameter.kind for option, parameter in parameters.items()}
    places = [one for one, kind in kinds.items() if kind is Parameter.POSITIONAL_OR_KEYWORD and one not in options]
    if len(words) > len(places) and Parameter.VAR_POSITIONAL not in kinds.values():
        extra = " ".join(map(repr, words[len(places) :]))
        raise NotUnderstoodError(f"{extra}: too many words; {usage(name, verb)}")
    given = {*options, *places[: len(words)]}
    missing = [_shown(one, parameters) for one in parameters if _required(parameters[one]) and one not in given]
    if missing:
        raise NotUnderstoodError(f"{', '.join(missing)} missing; {usage(name, verb)}")


def usage(name: str, verb: Callable[..., None]) -> str:
    """The usage of a verb in one line: ``usage: uniseg calibrate INPUT --task TASK [options]``."""
    parameters = inspect.signature(verb).parameters
    words, needed, optional = [], [], []
    for one, parameter in parameters.items():
        shown = _shown(one, parameters)
        if parameter.kind is Parameter.VAR_POSITIONAL:
            words.append(f"{shown}...")
        elif is_word(one, parameters):
            words.append(shown if _required(parameter) else f"[{shown}]")
        elif _required(parameter):
            needed.append(f"{shown} {one.upper()}")
        else:
            optional = ["[options]"]
    return f"usage: uniseg {' '.join([name, *words, *needed, *optional])}"


def is_word(name: str, parameters: Mapping[str, Parameter]) -> bool:
    """Whether a parameter of a verb is a word with a place and not an option.

    The required option of a verb with any number of words is a word too: the last one.
    """
    several = any(parameter.kind is Parameter.VAR_POSITIONAL for parameter in parameters.values())
    return parameters[name].kind is not Parameter.KEYWORD_ONLY or (several and _required(parameters[name]))


def _required(parameter: Parameter) -> bool:
    return parameter.default is Parameter.empty and parameter.kind is not Parameter.VAR_POSITIONAL


def _shown(name: str, parameters: Mapping[str, Parameter]) -> str:
    """The name of a parameter for users: ``OUTPUT``, or ``--mode``."""
    return name.upper() if is_word(name, parameters) else f"--{name}"


def short_flags(parameters: Iterable[str]) -> dict[str, str]:
    """The short flags of a verb's parameters: letter -> parameter."""
    own = list(parameters)
    flags = {letter: next((name for name in names if name in own), None) for letter, names in _SHORT.items()}
    return {letter: name for letter, name in flags.items() if name is not None}


def _option(verb: str, typed: str, parameters: Mapping[str, Parameter], hints: Mapping[str, Any]) -> tuple[str, bool]:
    """The parameter that a flag names, and whether it switches that one off (``--no-report``)."""
    named = [name for name, one in parameters.items() if one.kind is not Parameter.VAR_POSITIONAL]
    word = typed.lstrip("-").replace("-", "_")
    if not typed.startswith("--"):
        word = short_flags(named).get(word, word)
    if word in named:
        return word, False
    positive = re.sub("^no_?", "", word)
    if positive in named and bool in _kinds(hints[positive]):
        return positive, True
    known = [*(f"--{name}" for name in named), *(f"-{letter}" for letter in short_flags(named))]
    near = did_you_mean(f"--{word}", known)
    raise NotUnderstoodError(f"`uniseg {verb}` has no option {typed}: {near}see `uniseg {verb} --help`")


def _value(typed: str, left: list[str], is_bool: bool) -> str:
    """Removes the value of an option from the remaining words and returns it; a switch needs none."""
    if is_bool:
        return left.pop(0) if left and left[0].lower() in (*_TRUE, *_FALSE) else "true"
    if not left or _FLAG.match(left[0]):
        raise NotUnderstoodError(f"{typed} needs a value")
    return left.pop(0)


def _kinds(hint: Any) -> tuple[Any, ...]:
    """The types that an annotation allows, ``None`` left out."""
    kinds = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    return tuple(kind for kind in kinds if kind is not types.NoneType)


def allowed(hint: Any) -> str:
    """The values of an annotation in words: ``accurate|balanced|fast``, ``number``, ``text``."""
    (kind,) = _kinds(hint)
    if get_origin(kind) is Literal:
        return "|".join(get_args(kind))
    return {bool: "true|false", int: "whole number", float: "number", str: "text"}[kind]


def _converted(shown: str, text: str, hint: Any) -> Any:
    """The value of a text, with the type of its annotation.

    Raises:
        NotUnderstoodError: the text is no such value.
    """
    (kind,) = _kinds(hint)
    if not text.strip():
        raise NotUnderstoodError(f"{shown} is empty, expected a {allowed(hint)}")
    if kind is not hint and text == "None":
        return None
    if get_origin(kind) is Literal:
        if text in get_args(kind):
            return text
        choices = get_args(kind)
        near = did_you_mean(text, choices)
        raise NotUnderstoodError(f"{shown} is {text!r}: {near}expected one of {', '.join(choices)}")
    if kind is bool:
        if text.lower() in (*_TRUE, *_FALSE):
            return text.lower() in _TRUE
        raise NotUnderstoodError(f"{shown} is {text!r}, expected true or false")
    if kind is str:
        return text
    try:
        number = kind(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise NotUnderstoodError(f"{shown} is {text!r}, expected a {allowed(hint)}")
    return number
