"""Synthetic patients with label maps, in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform
from numpy.typing import NDArray

from uniseg_nets.phantom.anatomy import FIELD_OF_VIEW, Body, brain, pelvis, torso, whole_body
from uniseg_nets.phantom.scene import Scene
from uniseg_nets.tasks import Task

__all__ = ["Phantom", "make_phantom"]

_BODIES: dict[str, Callable[[Scene], Body]] = {
    "torso": torso,
    "pelvis": pelvis,
    "brain": brain,
    "whole_body": whole_body,
}
# The body of a task's channels. All CT tasks have the same torso: only the task decides which organ is labelled.
_BODY_OF = {
    ("CT",): "torso",
    ("T2",): "pelvis",
    ("T1", "T1ce", "T2", "FLAIR"): "brain",
    ("CT", "PET"): "whole_body",
}
_ORIENTATIONS = ("RAS", "LPS", "LAS")


@dataclass(frozen=True)
class Phantom:
    """A synthetic scan with its label map, in the axes of a NIfTI file.

    Attributes:
        task: task of the labels.
        image: (C, x, y, z), one channel per modality.
        label: (x, y, z), the task's own values.
        affine: (4, 4), voxel (x, y, z) -> RAS+ mm.
    """

    task: Task
    image: NDArray[np.float32]
    label: NDArray[np.uint8]
    affine: NDArray[np.float64]


def make_phantom(
    task: Task, seed: int, spacing: tuple[float, float, float] | None = None, orientation: str | None = None
) -> Phantom:
    """Makes one patient. The same arguments give the same voxels.

    Args:
        task: one of the official tasks, or a task with their channels and class names.
        seed: number of the patient.
        spacing: voxel size (x, y, z) in mm along the patient's axes; by default drawn around that of the task.
        orientation: three letters such as ``LPS``; by default drawn from common ones.

    Raises:
        ValueError: if no phantom has the channels or classes of the task.
    """
    body = _BODY_OF.get(task.channels)
    if body is None:
        known = "; ".join(", ".join(channels) for channels in _BODY_OF)
        raise ValueError(
            f"no phantom for task {task.name!r} with channels {', '.join(task.channels)}: there are {known}"
        )
    rng = np.random.default_rng([seed, len(body)])
    drawn = np.asarray(task.spacing[::-1]) * rng.uniform(0.75, 1.15, 2)[[0, 0, 1]]
    picked = str(rng.choice(_ORIENTATIONS))
    scene = Scene(rng, FIELD_OF_VIEW[body], spacing or drawn)
    channels, masks = _BODIES[body](scene)
    unknown = [name for name in task.classes if name not in masks]
    if unknown:
        raise ValueError(f"no phantom has {', '.join(unknown)} of task {task.name!r}: there are {', '.join(masks)}")
    label = np.zeros(scene.shape, dtype=np.uint8)
    for value, name in enumerate(task.classes, start=1):
        label[masks[name]] = value
    turn = ornt_transform(io_orientation(scene.affine), axcodes2ornt(orientation or picked))
    return Phantom(
        task,
        np.stack([np.ascontiguousarray(apply_orientation(channel, turn)) for channel in channels]),
        np.ascontiguousarray(apply_orientation(label, turn)),
        scene.affine @ inv_ornt_aff(turn, scene.shape),
    )
