"""The choices of a user for a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from uniseg_nets.plan.scaling import CT_SCALINGS
from uniseg_nets.plan.slot import NEAREST, NO_SLOT
from uniseg_nets.tasks import AXES

__all__ = ["PlanOptions"]


@dataclass(frozen=True)
class PlanOptions:
    """The choices of a user. Everything else follows from the data.

    Attributes:
        name: name of the task; that of the folder by default.
        labels: value -> class name, instead of the data set's own or of ``class_VALUE``.
        channels: modalities in order, instead of the data set's own. ``CT`` means Hounsfield units.
        axes: order of the axes, ``anatomical`` or ``acquisition``; by default chosen from voxel sizes and headers.
        ct_scaling: ``percentiles`` of the data set or the official Hounsfield ``window``, for channels named CT.
        weights: pretrained weights, which determine the network's sizes.
        slot: task of the weights to start from: an id, an official name, ``nearest``, or ``none`` for a network without
            prompt.
        folds: number of cross-validation folds, if the data set defines none.
        memory_gib: memory of a training step in GiB, which determines the patch.
        batch_size: patches per step.
        seed: random seed of the folds.
        group: regular expression that finds the patient in a case's name. All cases of a patient get the same fold.
        leave_out_faulty: leave out faulty cases instead of refusing the data set.
    """

    name: str | None = None
    labels: Mapping[int, str] | None = None
    channels: Sequence[str] | None = None
    axes: str | None = None
    ct_scaling: str = "percentiles"
    weights: str | None = None
    slot: str | int | None = NEAREST
    folds: int = 5
    memory_gib: float = 8.0
    batch_size: int = 2
    seed: int = 0
    group: str | None = None
    leave_out_faulty: bool = False

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise ValueError(f"folds is {self.folds}, expected 2 or more: one to validate on, others to train on")
        if self.memory_gib <= 0:
            raise ValueError(f"memory_gib is {self.memory_gib:g}, expected a number above 0")
        if self.weights is None and self.slot not in (None, NEAREST, NO_SLOT):
            raise ValueError(
                f"slot is {self.slot}, and there are no pretrained weights: name them, or leave out the slot"
            )
        if self.axes not in (None, *AXES):
            raise ValueError(f"axes is {self.axes!r}, expected one of {', '.join(AXES)}")
        if self.ct_scaling not in CT_SCALINGS:
            raise ValueError(f"ct_scaling is {self.ct_scaling!r}, expected one of {', '.join(CT_SCALINGS)}")
