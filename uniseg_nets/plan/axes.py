"""Chooses the order of axes and the mirror axes of a data set.

The slice axis of a stack must stay separate from the plane: nnU-Net, like the official release, takes it as the first
axis, which the strides treat as the coarse one, whatever its direction in the patient.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from nibabel.orientations import aff2axcodes

from uniseg_nets.tasks import sided_classes
from uniseg_nets.transforms.grid import Grid

__all__ = ["choose_axes", "choose_mirror_axes"]

_SLICES = ("axial", "coronal", "sagittal")  # slices across the anatomical axes z, y, x


def choose_axes(grids: Sequence[Grid], classes: Sequence[str]) -> tuple[str, str, str | None]:
    """Chooses ``anatomical`` or ``acquisition`` order, from voxel sizes, headers and classes.

    Stacks of thick slices keep their acquisition order, so that a plan fits scans with another direction of slices in
    the header. Anatomical order is chosen only if classes differ by their side and all slices are axial.

    Args:
        grids: grid of each case, in anatomical order.
        classes: names of the foreground classes.

    Returns:
        The order, the reason in words, and a warning if cases disagree.

    Raises:
        ValueError: if classes differ by their side, not all slices are axial, and scans are stored in several
            directions: left and right could not be distinguished.
    """
    slices = Counter(_SLICES[axis] for axis in (grid.coarse_axis for grid in grids) if axis is not None)
    without = len(grids) - slices.total()
    if without > len(grids) / 2:
        return "anatomical", "most scans have no axis that is more than 3 times as coarse as another", None
    listed = ", ".join(f"{count} {name}" for name, count in slices.most_common())
    sided = ", ".join(sided_classes(classes))
    if sided and set(slices) == {"axial"}:
        return "anatomical", f"{sided} differ by their side, and all thick slices are axial ({listed})", None
    if sided:
        _refuse_several_directions(grids, sided)
    doubts = []
    if without:
        doubts.append(f"{without} scans have no thick slices: their last stored axis is taken as the slice axis")
    if len(slices) > 1:
        doubts.append(f"slices have several directions in the headers ({listed}): check whether the anatomy agrees")
    reason = f"most scans are stacks of thick slices ({listed} by the headers, of {len(grids)} scans)"
    return "acquisition", reason, "; ".join(doubts) or None


def _refuse_several_directions(grids: Sequence[Grid], sided: str) -> None:
    directions = Counter("".join(aff2axcodes(grid.file_affine)) for grid in grids)
    if len(directions) > 1:
        listed = ", ".join(f"{count} {codes}" for codes, count in directions.most_common())
        raise ValueError(
            f"{sided} differ by their side, but scans with thick slices are stored in several directions ({listed}): "
            "store them in one, or plan with `--axes anatomical`"
        )


def choose_mirror_axes(grids: Sequence[Grid], classes: Sequence[str]) -> tuple[tuple[int, ...], str | None]:
    """Axes (0 z, 1 y, 2 x) along which scans may be mirrored, and the reason in words if they are not all three.

    Args:
        grids: grid of each case, in the chosen order.
        classes: names of the foreground classes.
    """
    sided = sided_classes(classes)
    if not sided:
        return (0, 1, 2), None
    across = {int(np.argmax(np.abs(grid.affine[0, :3]))) for grid in grids}  # the left-right axis
    names = ", ".join("zyx"[axis] for axis in sorted(across))
    reason = f"{', '.join(sided)} differ by their side: no mirroring along {names}"
    return tuple(axis for axis in range(3) if axis not in across), reason
