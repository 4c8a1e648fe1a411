"""The sentences of a verdict: what was measured and what was expected, without terms of the network."""

from __future__ import annotations

from collections.abc import Sequence

from uniseg_nets.quality.ranges import Range

__all__ = [
    "absent",
    "estimate",
    "intensities",
    "label",
    "lengths",
    "network",
    "nothing",
    "second_look",
    "truncated",
]

# Directions of z, y, x, by the axes of a task.
_DIRECTIONS = {
    "anatomical": {"z": "along the body", "y": "from back to front", "x": "from left to right"},
    "acquisition": {"z": "across the slices", "y": "along the columns of a slice", "x": "along its rows"},
}


def lengths(what: str, sizes: Sequence[float], ranges: Sequence[Range]) -> str:
    """The sentence on an unusual extent or voxel size.

    Args:
        what: ``extent`` or ``spacing``.
        sizes: (z, y, x) mm.
        ranges: their usual ranges.
    """
    seen = " x ".join(f"{mm:.3g}" for mm in sizes)
    expected = " x ".join(f"{one.low:.3g} to {one.high:.3g}" for one in ranges)
    if what == "extent":
        return (
            f"The scan covers {seen} mm (z, y, x), training scans covered {expected}: another part, or wrong spacing."
        )
    coarsest = " x ".join(f"{one.high:.3g}" for one in ranges)
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
        return f"{name}: {value:.3g} ml were found, usually {low:.3g} to {high:.3g} ml."
    if ending == "largest_share":
        return f"{name} lies in pieces: the largest holds {value:.0%}, usually above {low:.0%}."
    direction = _DIRECTIONS[axes][ending[-1]]
    if ending.startswith("at_"):
        return f"{name} lies at {value:.0%} of the scan {direction}, usually at {low:.0%} to {high:.0%}."
    return f"{name} is spread {value:.3g} mm {direction}, usually {low:.3g} to {high:.3g} mm."


def absent(name: str) -> str:
    return f"{name} was not found."


def nothing(task: str) -> str:
    return f"Nothing was found of {task}."


def truncated(name: str) -> str:
    return f"{name} reaches the border of the scan: it may be cut off."


def estimate(dice: float, error: float) -> str:
    return f"The estimated Dice is low: {dice:.2f} (plus or minus {error:.2f})."
