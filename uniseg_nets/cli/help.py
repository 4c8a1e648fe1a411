"""Makes the texts of ``uniseg --help`` and ``uniseg VERB --help`` from signatures and docstrings."""

from __future__ import annotations

import textwrap
from collections.abc import Callable

from uniseg_nets.cli.arguments import usage
from uniseg_nets.cli.describe import arguments_of, summary_of
from uniseg_nets.cli.status import MEANINGS
from uniseg_nets.cli.verbs import GROUPS

__all__ = ["overview", "page_of"]

_WIDTH = 110


def overview() -> str:
    """All verbs in their groups, each with the first sentence on it."""
    parts = ["usage: uniseg VERB ...    `uniseg VERB --help` says more; `uniseg --version`"]
    for group, verbs in GROUPS.items():
        rows = [_row(name, summary_of(verb), 17) for name, verb in verbs.items()]
        parts.append("\n".join([f"{group}:", *rows]))
    statuses = [f"  {status:<4} {meaning}" for status, meaning in MEANINGS.items()]
    return "\n\n".join([*parts, "\n".join(["exit status:", *statuses])])


def page_of(name: str, verb: Callable[..., None]) -> str:
    """The help page of a verb: usage, words, and options with choices and defaults."""
    words, options = [], []
    for argument in arguments_of(verb):
        text, short = argument.text, f", -{argument.short}" if argument.short else ""
        if argument.default not in (None, False):
            text += f" [default: {argument.default}]"
        if argument.is_option and argument.required:
            text += " [required]"
        if argument.is_option:
            choices = argument.value
            value = "" if choices == "true|false" else f" {choices.upper() if '|' not in choices else choices}"
            options.append(_row(f"--{argument.name}{short}{value}", text, 26))
        else:
            words.append(_row(f"{argument.name.upper()}{short}", text, 26))
    parts = [usage(name, verb), textwrap.fill(summary_of(verb), _WIDTH)]
    parts += ["\n".join(words)] if words else []
    parts += ["\n".join(["options (hyphens and underscores alike):", *options])] if options else []
    return "\n\n".join(parts)


def _row(left: str, right: str, width: int) -> str:
    """A row of two columns. A left column that is too long gets a separate line."""
    space = " " * (width + 2)
    text = textwrap.fill(right, _WIDTH, initial_indent=space, subsequent_indent=space)
    head = f"  {left}"
    return f"{head:<{width + 2}}{text.lstrip()}" if len(head) < width + 2 else f"{head}\n{text}"
