"""Measures a scan before anything is computed: its geometry and its intensities.

Shapes: C channels, (X, Y, Z) the size as stored.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from monai.data import MetaTensor
from monai.utils.enums import MetaKeys
from numpy.typing import NDArray
from scipy import ndimage

from uniseg_nets.quality import words
from uniseg_nets.quality.organs import smallest_field_mm
from uniseg_nets.quality.verdict import Reason
from uniseg_nets.tasks import Task
from uniseg_nets.transforms.grid import Grid
from uniseg_nets.transforms.load import DOUBTS

__all__ = ["FAT", "LEVELS", "ScanProperties", "doubts", "geometry_faults", "known_faults", "scan_properties"]

# Levels of the intensity quantiles: shares of voxels.
LEVELS = tuple(float(level) for level in np.linspace(0.01, 0.99, 25))
# Voxel edges in mm outside of these limits are no scanner's: micrometres or metres come from a wrong unit.
_SMALLEST_EDGE, _LARGEST_EDGE = 0.02, 60.0
_SAMPLED = 50_000  # voxels per channel
# Fat is below this in Hounsfield units, so that every CT of a body has such voxels.
FAT = -20.0
# No MR or PET has one voxel in twenty below this: resampling makes only some voxels negative, z-scores lie within a few
# units of 0.
_NEGATIVE, _NEGATIVE_SHARE = -50.0, 0.05
# A larger share of voxels without a finite value is no rounding fault of single voxels.
_NON_FINITE = 0.001
AXES = "zyx"


@dataclass(frozen=True, eq=False)
class ScanProperties:
    """The measurements of a scan.

    Attributes:
        spacing: voxel edges in mm, (z, y, x) in the task's order of axes.
        extent: size in mm, in the same order.
        quantiles: (C, level), the intensities at :data:`LEVELS`, over the voxels outside of the padding.
        non_finite: of each channel, the share of its voxels that are infinite, or NaN and no background.
    """

    spacing: tuple[float, ...]
    extent: tuple[float, ...]
    quantiles: NDArray[np.float64]
    non_finite: tuple[float, ...] = ()

    def measures(self) -> dict[str, float]:
        """Spacing and extent by name."""
        lengths = {f"extent_{axis}": mm for axis, mm in zip(AXES, self.extent)}
        return lengths | {f"spacing_{axis}": mm for axis, mm in zip(AXES, self.spacing)}


def geometry_faults(image: MetaTensor) -> list[Reason]:
    """Reasons to refuse a scan (C, X, Y, Z) whose header gives no usable position or size of the voxels."""
    affine = np.asarray(image.meta.get(MetaKeys.ORIGINAL_AFFINE, image.affine), dtype=np.float64)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        return [
            Reason("before", "The scan's header does not say how large its voxels are: export the scan again.", True)
        ]
    edges = np.linalg.norm(affine[:3, :3], axis=0)
    if edges.min() < _SMALLEST_EDGE or edges.max() > _LARGEST_EDGE:
        sizes = " x ".join(map(words.number, edges))
        text = f"The scan's header gives voxels of {sizes} mm, which no scanner makes: correct its spacing."
        return [Reason("before", text, True)]
    return []


def doubts(image: MetaTensor) -> list[Reason]:
    """Reasons to check a scan of which :class:`~uniseg_nets.transforms.LoadCase` found something doubtful."""
    return [Reason("before", text) for text in str(image.meta.get(DOUBTS, "")).splitlines()]


def scan_properties(image: MetaTensor, task: Task) -> ScanProperties:
    """Measures a loaded scan (C, X, Y, Z).

    Raises:
        ValueError: the affine gives the voxels no volume.
    """
    affine = np.asarray(image.meta.get(MetaKeys.ORIGINAL_AFFINE, image.affine), dtype=np.float64)
    shape = tuple(int(n) for n in image.shape[1:])
    grid = Grid((shape[0], shape[1], shape[2]), affine, task.spacing, axes=task.axes)
    return ScanProperties(
        tuple(float(mm) for mm in grid.spacing),
        tuple(float(mm) for mm in grid.spacing * np.asarray(grid.stored_shape)),
        np.stack([_intensities(channel) for channel in image.as_tensor()]),
        tuple(_without_value(channel.numpy()) for channel in image.as_tensor()),
    )


def known_faults(properties: ScanProperties, task: Task) -> list[Reason]:
    """Reasons to check a scan that need no fingerprint: the definition of its modality and the size of the organ."""
    reasons = _swapped(properties, task) or [
        reason for values, modality in zip(properties.quantiles, task.channels) for reason in _unlike(values, modality)
    ]
    reasons += [
        Reason(
            "before",
            f"{share:.1%} of the voxels of the {modality} are NaN or infinite, not counting a background of NaN. They "
            f"are taken as {'air' if modality.upper() == 'CT' else 0}.",
        )
        for share, modality in zip(properties.non_finite, task.channels)
        if share > _NON_FINITE
    ]
    needed = smallest_field_mm(task)
    short = [mm for mm in properties.extent if mm < needed]
    if short:
        text = f"The scan is only {min(short):.0f} mm wide in one direction; {task.name} needs about {needed:.0f} mm."
        reasons.append(Reason("before", text))
    return reasons


def _swapped(properties: ScanProperties, task: Task) -> list[Reason]:
    """The reason to check a scan whose CT and PET channels are swapped."""
    kinds = [modality.upper() for modality in task.channels]
    if sorted(kinds) != ["CT", "PET"] or len(properties.quantiles) != 2:
        return []
    ct, pet = properties.quantiles[kinds.index("CT")], properties.quantiles[kinds.index("PET")]
    if ct[0] < FAT or _often_below(pet) > _NEGATIVE:
        return []
    order = ", then ".join(task.channels)
    return [Reason("before", f"The channels seem to be swapped: the PET holds Hounsfield units. Give {order}.")]


def _unlike(values: NDArray[np.float64], modality: str) -> list[Reason]:
    """Reasons why the quantiles (level,) of a channel cannot be those of its modality."""
    kind, lowest = modality.upper(), words.number(values[0], 4)
    if kind == "CT":
        if values[0] > FAT:
            text = (
                f"The CT holds no values below {lowest}: Hounsfield units are -1000 in air and -100 in fat. It "
                "is no CT, or its scale was lost."
            )
            return [Reason("before", text)]
        return []
    if _often_below(values) < _NEGATIVE:
        text = f"The {modality} holds values down to {lowest}, as a CT does: it is of another modality."
        return [Reason("before", text)]
    if kind == "PET" and _often_below(values) < -0.05 * abs(values[-1]):
        return [Reason("before", f"The PET holds values below zero, down to {lowest}: its scale was lost.")]
    return []


def _often_below(values: NDArray[np.float64]) -> float:
    """The intensity with one voxel in twenty below it, too many to be an artefact."""
    return float(np.interp(_NEGATIVE_SHARE, LEVELS, values))


def _without_value(channel: NDArray[np.float32]) -> float:
    """The share of voxels (X, Y, Z) that are infinite, or NaN and not connected to the border as a background is."""
    faulty = ~np.isfinite(channel)
    if not faulty.any():
        return 0.0
    pieces, count = ndimage.label(np.isnan(channel))
    background = np.zeros(count + 1, dtype=bool)
    for axis, planes in enumerate(channel.shape):
        if planes > 1:  # a single slice has no faces
            background[np.take(pieces, (0, -1), axis)] = True
    background[0] = False
    return float((faulty & ~background[pieces]).mean())


def _intensities(channel: torch.Tensor) -> NDArray[np.float64]:
    """Quantiles (level,) of a channel's voxels above its smallest value, which is often that of padding."""
    values = channel.flatten()
    if len(values) > _SAMPLED:  # at random: a stride that the number of slices divides would stay in one slice
        values = values[np.random.default_rng(0).integers(len(values), size=_SAMPLED)]
    sampled = values.double().numpy()
    sampled = sampled[np.isfinite(sampled)]
    if not len(sampled):
        return np.zeros(len(LEVELS))
    inside = sampled[sampled > sampled.min()]
    inside = inside if len(inside) else sampled
    return np.quantile(inside, LEVELS)
