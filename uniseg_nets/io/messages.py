"""What stands in several messages: lists of names, the nearest name, words for NaN, how to get weights."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from os import PathLike

__all__ = ["NO_NUMBERS", "did_you_mean", "in_lines", "listing", "no_weights"]

# Of scores that are NaN, which a comparison would make background.
NO_NUMBERS = "the network's scores are no numbers: are the weights whole? else compute in float32 (precision fp32)"
_SHOWN = 10


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``did you mean 'x'? `` for a word that is nearly one of those known; else nothing."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean {near[0]!r}? " if near else ""


def listing(names: Sequence[str]) -> str:
    """``a, b, c``, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def in_lines(entries: Sequence[str]) -> str:
    """Each entry on an indented line of its own, then how many more there are."""
    more = [f"and {len(entries) - _SHOWN} more"] if len(entries) > _SHOWN else []
    return "\n".join(f"  {entry}" for entry in [*entries[:_SHOWN], *more])


def no_weights(path: str | PathLike[str]) -> str:
    """That there are no weights at a path, and where they come from."""
    return (
        f"no weights at {path}: get the authors' with `uniseg fetch-weights` (or `uniseg fetch-weights --file "
        "DOWNLOADED`), name a file with `--weights FILE`, or try out with `--weights demo`; a training writes "
        "model_final.pt when it has ended"
    )
