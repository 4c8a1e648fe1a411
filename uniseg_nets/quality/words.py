"""The sentences of a verdict: what was measured and what was expected, without terms of the network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from uniseg_nets.quality.ranges import Range

__all__ = [
    "absent",
    "estimate",
    "intensities",
    "label",
    "lengths",
    "network",
    "nothing",
    "number",
    "poor",
    "removed_later",
    "second_look",
    "truncated",
]

# Directions of z, y, x, by the axes of a task.
_DIRECTIONS = {
    "anatomical": {"z": "along the body", "y": "from back to front", "x": "from left to right"},
    "acquisition": {"z": "across the slices", "y": "along the columns of a slice", "x": "along its rows"},
}


def number(value: float, digits: int = 3) -> str:
    """A number with some significant digits and without an exponent: ``1567.2`` is ``1570``."""
    return np.format_float_positional(value, digits, unique=False, fractional=False, trim="-")


def lengths(what: str, sizes: Sequence[float], ranges: Sequence[Range]) -> str:
    """The sentence on an unusual extent or voxel size.

    Args:
        what: ``extent`` or ``spacing``.
        sizes: (z, y, x) mm.
        ranges: their usual ranges.
    """
    seen = " x ".join(map(number, sizes))
    expected = " x ".join(f"{number(one.low)} to {number(one.high)}" for one in ranges)
    if what == "extent":
        return (
            f"The scan covers {seen} mm (z, y, x), training scans covered {expected}: another part, or wrong spacing."
        )
    coarsest = " x ".join(number(one.high) for one in ranges)
    return (
        f"The voxels are {seen} mm (z, y, x), those of training scans at most {coarsest}: too coarse, or wrong spacing."
    )


def intensities(modality: str) -> str:
    """The sentence on an unusual histogram of a channel."""
    return (
        f"The grey values of the {modality} are distributed unlike those of training scans: another modality, another "
        "contrast, or a lost scale."
    )


def network(name: str, value: float, usual: float) -> str:
    """The sentence on an unusual measurement of the network, ``agreement`` or ``certainty``."""
    if name == "agreement":
        return f"The network's coarse and fine answers differ: they agree by {value:.2f}, usually above {usual:.2f}."
    return f"The network is unsure of what it outlined: certainty {value:.2f}, usually above {usual:.2f}."


def second_look(name: str, value: float) -> str:
    """The sentence on a low Dice with the mirrored scan (``flips``) or between networks (``members``)."""
    if name == "flips":
        return f"The mirrored scan gives another answer: the two agree by {value:.2f}."
    return f"The networks of the ensemble disagree: their answers agree by {value:.2f}."


def label(name: str, ending: str, value: float, low: float, high: float, axes: str) -> str:
    """The sentence on an unusual measurement of a class; ``ending`` is its name without the class.

    ``axes`` are those of the task, ``anatomical`` or ``acquisition``.
    """
    if ending == "volume_ml":
        return f"{name}: {number(value)} ml were found, usually {number(low)} to {number(high)} ml."
    if ending == "largest_share":
        return f"{name} lies in pieces: the largest holds {value:.0%}, usually above {low:.0%}."
    direction = _DIRECTIONS[axes][ending[-1]]
    if ending.startswith("at_"):
        low, high = max(low, 0.0), min(high, 1.0)
        return f"{name} lies at {value:.0%} of the scan {direction}, usually at {low:.0%} to {high:.0%}."
    return f"{name} is spread {number(value)} mm {direction}, usually {number(low)} to {number(high)} mm."


def removed_later(sentence: str) -> str:
    """The sentence on a class of which the label map keeps only the largest pieces."""
    return f"{sentence[:-1]} (measured before smaller pieces are removed)."


def absent(name: str) -> str:
    return f"{name} was not found."


def nothing(task: str) -> str:
    return f"Nothing was found of {task}."


def truncated(name: str) -> str:
    return f"{name} reaches the border of the scan: it may be cut off."


def poor(task: str, dice: float, expected: float) -> str:
    """The sentence on weights with a low mean Dice."""
    return f"These weights had a mean Dice of {dice:.2f} on their own cases of {task}, {expected:.2f} is needed."


def estimate(dice: float, error: float) -> str:
    return f"The estimated Dice is low: {dice:.2f} (plus or minus {error:.2f})."
