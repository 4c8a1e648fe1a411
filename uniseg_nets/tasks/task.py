"""A task: its channels, preprocessing and classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["ANISOTROPY", "AXES", "MASKS", "SCHEMES", "STACK", "Scaling", "Task"]

# How the axes of a file are mapped to the network's (z, y, x), see ``Task.axes``.
AXES = ("anatomical", "acquisition")
# Which voxels z-scores are computed from, see ``Task.mask``.
MASKS = ("never", "training", "always")
# Numbers that each intensity scaling needs, see ``Scaling.scheme``.
SCHEMES: Mapping[str, tuple[str, ...]] = {
    "window": ("low", "high"),
    "percentiles": ("low", "high", "mean", "std"),
    "z_score": (),
}
# Above this ratio of largest to smallest voxel edge a scan is anisotropic (Isensee et al. 2021).
ANISOTROPY = 3.0
# The same ratio for scans of a task with thick slices: its scans are known to be stacks.
STACK = 1.5


@dataclass(frozen=True)
class Scaling:
    """How the intensities of one channel are scaled.

    Attributes:
        scheme: ``window`` clips to ``low`` and ``high`` and maps them to 0 and 1; ``percentiles`` clips to the
            training set's ``low`` and ``high``, subtracts its ``mean`` and divides by its ``std`` (nnU-Net's CT);
            ``z_score`` uses the mean and the standard deviation of the case itself.
        low, high, mean, std: numbers of the scheme, in the unit of the scan.
    """

    scheme: str
    low: float = 0.0
    high: float = 0.0
    mean: float = 0.0
    std: float = 1.0

    def scaled(self, value: float) -> float:
        """The scaled value of an intensity.

        Raises:
            ValueError: if the scheme is a z-score, which depends on the case.
        """
        if self.scheme == "z_score":
            raise ValueError("the z-score of an intensity depends on the case")
        value = min(max(value, self.low), self.high)
        if self.scheme == "window":
            return (value - self.low) / (self.high - self.low)
        return (value - self.mean) / self.std


@dataclass(frozen=True)
class Task:
    """One segmentation task.

    Attributes:
        id: index of the task's prompt in the network.
        name: name for users.
        channels: modality of each input channel, in the order of the files (``_0000``, ``_0001``, ...).
        spacing: voxel size of the network's input in mm, axes (z, y, x).
        classes: names of the foreground classes. The task's own label value of ``classes[i]`` is ``i + 1``.
        values: label values of the same classes in the union of all tasks.
        axes: how the axes of a file are mapped to the network's. ``anatomical``: towards superior, anterior, right,
            for every orientation of the file. ``acquisition``: the slice axis of a stack comes first, the other axes
            stay as stored and nothing is flipped. A scan is a stack if its largest voxel edge is more than 3 times its
            smallest one, or more than 1.5 times for a task with thick slices.
        scaling: intensity scaling per channel.
        mask: whether z-scores are computed from the non-zero voxels, with 0 elsewhere: ``never``, ``always``, or in
            ``training`` alone, as the authors did for brain MR.
        mirror_axes: axes (0 z, 1 y, 2 x) along which scans may be mirrored, in training and in prediction. By default
            the left-right axis is left out for tasks whose classes differ by their side.
        max_pieces: number of connected components that a label map keeps per class, the largest ones; 0 for all.
    """

    id: int
    name: str
    channels: tuple[str, ...]
    spacing: tuple[float, float, float]
    classes: tuple[str, ...]
    values: tuple[int, ...]
    axes: str
    scaling: tuple[Scaling, ...]
    mask: str
    mirror_axes: tuple[int, ...]
    max_pieces: tuple[int, ...]

    @property
    def num_outputs(self) -> int:
        """Output channels the task uses: background and its classes."""
        return len(self.classes) + 1

    @property
    def anisotropic(self) -> bool:
        """Whether the largest voxel edge of the network's input is more than 3 times the smallest one."""
        return max(self.spacing) > ANISOTROPY * min(self.spacing)
