"""Texts that several messages share: lists of names, the nearest name, non-finite scores, how to get weights."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path

__all__ = ["NOT_FINITE", "did_you_mean", "in_lines", "listing", "no_weights", "no_weights_2d"]

# For NaN scores, which a comparison would turn into background.
NOT_FINITE = "the network's scores are not finite: check the weights file, or compute in float32 (precision fp32)"
_SHOWN = 10
# Weights that a training of `esp_medsam_2d` writes for the next one; and the bundles whose weights are no UniSeg's.
_WRITTEN_BY = {
    "teacher.pt": "the training of the teacher writes it (train_teacher.json)",
    "stage1.pt": "the first stage of the distillation writes it (distill_stage1.json)",
}
_NO_UNISEG = {"esp_medsam_2d", "unetr_prompt_tuning"}


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``did you mean 'x'? `` if a known word is similar; else an empty text."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean {near[0]!r}? " if near else ""


def listing(names: Sequence[str], separator: str = ", ", shown: int = _SHOWN) -> str:
    """The first names, ten by default, ``a, b, c``, and the number of the others."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return separator.join(names[:shown]) + more


def in_lines(entries: Sequence[str], shown: int = _SHOWN) -> str:
    """The first entries, ten by default, each on an indented line, and the number of the others."""
    more = [f"and {len(entries) - shown} more"] if len(entries) > shown else []
    return "\n".join(f"  {entry}" for entry in [*entries[:shown], *more])


def no_weights(path: str | PathLike[str], near: str = "") -> str:
    """The message for missing weights, with the ways to get them.

    Args:
        path: the file that does not exist.
        near: the nearest name of shipped weights, from :func:`did_you_mean`.
    """
    file = Path(path).absolute()
    if file.name in _WRITTEN_BY:
        ways = f"{_WRITTEN_BY[file.name]}, as the bundle's page describes"
    elif file.parent.name == "trained" or not _NO_UNISEG.isdisjoint(file.parts[-3:-1]):
        ways = "a training writes it"
    else:
        ways = (
            "get the authors' UniSeg with `uniseg fetch-weights` (or `uniseg fetch-weights --file DOWNLOADED`), name a "
            "file with `--weights FILE`, or try out with `--weights demo`; a training writes model_final.pt when it "
            "has ended"
        )
    return f"no weights at {path}: {near}{ways}"


def no_weights_2d(path: str | PathLike[str], release: bool) -> str:
    """The message for missing weights of 2D images, with the ways to get them.

    Args:
        path: the file that does not exist.
        release: whether the authors' weights are missing, not those of a training.
    """
    made = f"`uniseg convert-2d MODALITY=FILE ... {path}` writes it from the authors' files" if release else ""
    return (
        f"no weights at {path}: {made or 'a training writes it'}; or name a file with `--weights FILE`, or leave out "
        f"--{'release' if release else 'small'} for the open weights"
    )
