"""Makes the texts of ``uniseg --help`` and ``uniseg VERB --help`` from signatures and docstrings."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from inspect import Parameter
from typing import get_type_hints

from fire import docstrings

from uniseg_nets.cli.arguments import allowed, short_flags, usage
from uniseg_nets.cli.verbs import GROUPS

__all__ = ["overview", "page_of"]

_WIDTH = 110
_STATUS = """exit status:
  0    done
  1    an error that the message says how to mend; or a fault of this program, with its traceback
  2    the command was not understood, nothing has run
  3    the run is done, some cases of it failed
  130  stopped"""


def overview() -> str:
    """All verbs in their groups, each with the first sentence on it."""
    parts = ["usage: uniseg VERB ...    `uniseg VERB --help` says more; `uniseg --version`"]
    for group, verbs in GROUPS.items():
        rows = [_row(name, (inspect.getdoc(verb) or "").splitlines()[0], 17) for name, verb in verbs.items()]
        parts.append("\n".join([f"{group}:", *rows]))
    return "\n\n".join([*parts, _STATUS])


def page_of(name: str, verb: Callable[..., None]) -> str:
    """The help page of a verb: usage, words, and options with choices and defaults."""
    parsed = docstrings.parse(inspect.getdoc(verb))
    described = {arg.name: " ".join(arg.description.split()) for arg in parsed.args or []}
    hints, parameters = get_type_hints(verb), inspect.signature(verb).parameters
    letters = {name: f", -{letter}" for letter, name in short_flags(parameters).items()}
    words, options = [], []
    for parameter in parameters.values():
        text = described.get(parameter.name, "")
        if parameter.default not in (Parameter.empty, None, False):
            text += f" [default: {parameter.default}]"
        if parameter.kind is Parameter.KEYWORD_ONLY and parameter.default is not Parameter.empty:
            choices = allowed(hints[parameter.name])
            value = "" if choices == "true|false" else f" {choices.upper() if '|' not in choices else choices}"
            options.append(_row(f"--{parameter.name}{letters.get(parameter.name, '')}{value}", text, 26))
        else:
            words.append(_row(f"{parameter.name.upper()}{letters.get(parameter.name, '')}", text, 26))
    parts = [usage(name, verb), textwrap.fill(parsed.summary or "", _WIDTH)]
    parts += ["\n".join(words)] if words else []
    parts += ["\n".join(["options (hyphens and underscores alike):", *options])] if options else []
    return "\n\n".join(parts)


def _row(left: str, right: str, width: int) -> str:
    """A row of two columns. A left column that is too long gets a separate line."""
    space = " " * (width + 2)
    text = textwrap.fill(right, _WIDTH, initial_indent=space, subsequent_indent=space)
    head = f"  {left}"
    return f"{head:<{width + 2}}{text.lstrip()}" if len(head) < width + 2 else f"{head}\n{text}"
