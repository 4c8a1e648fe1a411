"""What messages have in common: lists of names, cut where they would fill the screen, and words for NaN."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["NO_NUMBERS", "in_lines", "listing"]

# Of scores that are NaN, which a comparison would make background.
NO_NUMBERS = "the network's scores are no numbers: are the weights whole? else compute in float32 (precision fp32)"
_SHOWN = 10


def listing(names: Sequence[str]) -> str:
    """``a, b, c``, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def in_lines(entries: Sequence[str]) -> str:
    """Each entry on an indented line of its own, then how many more there are."""
    more = [f"and {len(entries) - _SHOWN} more"] if len(entries) > _SHOWN else []
    return "\n".join(f"  {entry}" for entry in [*entries[:_SHOWN], *more])
