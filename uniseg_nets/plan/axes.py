"""In which order a data set's axes reach the network, and along which of them it may be mirrored.

Thick slices that are not axial must not be mixed into the plane: nnU-Net, like the official release, takes the slices
of a stack for the first axis, which its strides treat as the coarse one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from uniseg_nets.transforms.grid import Grid

__all__ = ["choose_axes", "choose_mirror_axes"]

_SLICES = ("axial", "coronal", "sagittal")  # slices across the anatomical axes z, y, x
_SIDES = re.compile(r"(?<![a-z])(left|right)(?![a-z])", re.IGNORECASE)
# Named after a side, but told apart by their shape: a mirrored heart still has one thick-walled chamber.
_CHAMBERS = re.compile(r"ventric|atri", re.IGNORECASE)


def choose_axes(grids: Sequence[Grid]) -> tuple[str, str, str | None]:
    """``anatomical`` or ``acquisition`` order, by voxel sizes and headers.

    Args:
        grids: of each case, in anatomical order.

    Returns:
        the order, the reason in words, and a warning where cases disagree.
    """
    slices = Counter(_SLICES[axis] for axis in (grid.coarse_axis for grid in grids) if axis is not None)
    without = len(grids) - slices.total()
    if without > len(grids) / 2:
        return "anatomical", "most scans have no axis that is more than 3 times as coarse as another", None
    listed = ", ".join(f"{count} {name}" for name, count in slices.most_common())
    if set(slices) == {"axial"}:
        return "anatomical", f"thick slices are axial by the headers ({listed} of {len(grids)} scans)", None
    reason = f"thick slices are not all axial by the headers ({listed} of {len(grids)} scans)"
    doubts = []
    if without:
        doubts.append(f"{without} scans have no thick slices: their last stored axis counts as the slices'")
    if len(slices) > 1:
        doubts.append(f"slices lie differently by the headers ({listed}): look whether the anatomy in them agrees")
    return "acquisition", reason, "; ".join(doubts) or None


def choose_mirror_axes(grids: Sequence[Grid], classes: Sequence[str]) -> tuple[tuple[int, ...], str | None]:
    """Axes (0 z, 1 y, 2 x) along which scans may be mirrored, and the reason in words where that is not all three.

    Args:
        grids: of each case, in the order chosen.
        classes: names of the foreground classes.
    """
    sided = [name for name in classes if _SIDES.search(name.replace("_", " ")) and not _CHAMBERS.search(name)]
    if not sided:
        return (0, 1, 2), None
    across = {int(np.argmax(np.abs(grid.affine[0, :3]))) for grid in grids}  # the axis that runs from left to right
    names = ", ".join("zyx"[axis] for axis in sorted(across))
    reason = f"{', '.join(sided)} differ by their side: no mirroring along {names}"
    return tuple(axis for axis in range(3) if axis not in across), reason
