"""Pictures of one case: three planes with the label map as an overlay, and axial slices for a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from typing import Any

import numpy as np
from nibabel.affines import voxel_sizes
from nibabel.orientations import apply_orientation, io_orientation
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from uniseg_nets.io.files import atomic_path
from uniseg_nets.results.overlay import with_overlay

__all__ = ["Views", "towards_ras", "write_preview"]

_WIDTH = 220  # pixels, width of a slice on the page
_SLICES = 24  # slices on the page, evenly spread over the foreground
# Patient directions on the left and on the right of a plane across x, y or z.
_SIDES = (("P", "A"), ("R", "L"), ("R", "L"))
_GRID = 64  # minimum number of voxels per axis for the grey window, if the volume has as many


def towards_ras(volume: NDArray[Any], affine: NDArray[Any]) -> tuple[NDArray[Any], list[float]]:
    """A volume turned to axes (x, y, z) towards right, anterior, superior; and its spacing (x, y, z) in mm."""
    turn = io_orientation(affine)
    spacing = voxel_sizes(affine)[np.argsort(turn[:, 0])]
    return np.asarray(apply_orientation(volume, turn)), [float(mm) for mm in spacing]


@dataclass(frozen=True)
class Views:
    """A scan and its label map, both (x, y, z) towards right, anterior, superior.

    Attributes:
        image: (x, y, z), intensities.
        label: (x, y, z), label values.
        spacing: (x, y, z) mm.
        names: value -> class.
    """

    image: NDArray[Any]
    label: NDArray[np.uint8]
    spacing: Sequence[float]
    names: Mapping[int, str]

    @classmethod
    def of(cls, image: NDArray[Any], label: NDArray[np.uint8], affine: NDArray[Any], names: Mapping[int, str]) -> Views:
        """The views of a scan and its label map on the grid of a file. Non-finite voxels become 0.

        Args:
            image, label: (x, y, z) as stored.
            affine: (4, 4), voxel (x, y, z) -> RAS+ mm.
            names: value -> class.
        """
        turned, spacing = towards_ras(np.nan_to_num(image, posinf=0, neginf=0), affine)
        return cls(turned, towards_ras(label, affine)[0], spacing, names)

    @cached_property
    def _window(self) -> tuple[float, float]:
        """The intensities that are shown as black and white, from a grid of voxels."""
        grid = tuple(slice(None, None, max(1, n // _GRID)) for n in self.image.shape)
        low, high = np.percentile(self.image[grid], (1, 99.5))
        return float(low), float(high)

    def plane(self, axis: int, index: int, width: int = _WIDTH) -> Image.Image:
        """A plane with its overlay as radiologists see it: anterior or superior up, the patient's right on the left.

        The sides are marked with R and L. In a sagittal plane anterior is on the right; its marks are P and A.
        """
        low, high = self._window
        # `moveaxis` gives a view; NumPy's `take` would copy the whole volume for some memory layouts.
        image, label = (np.moveaxis(volume, axis, 0)[index] for volume in (self.image, self.label))
        colours = with_overlay((image - low) / max(high - low, 1e-6), label, list(self.names))
        rows = colours.transpose(1, 0, 2)[::-1]  # the second axis upwards
        if axis != 0:
            rows = rows[:, ::-1]  # the patient's right on the left
        across, up = (self.spacing[other] for other in range(3) if other != axis)
        size = (width, max(1, round(width * rows.shape[0] * up / (rows.shape[1] * across))))
        picture = Image.fromarray(np.ascontiguousarray(rows)).resize(size, Image.Resampling.BILINEAR)
        draw = ImageDraw.Draw(picture)
        for letter, x, anchor in zip(_SIDES[axis], (4, size[0] - 4), ("lm", "rm")):
            draw.text((x, size[1] / 2), letter, fill="white", anchor=anchor, stroke_width=1, stroke_fill="black")
        return picture

    def middle(self, axis: int) -> int:
        """The plane with most foreground, or the middle one."""
        others = tuple(other for other in range(3) if other != axis)
        counts = (self.label > 0).sum(axis=others)
        return int(counts.argmax()) if counts.any() else self.label.shape[axis] // 2

    def slices(self) -> list[str]:
        """Axial slices as ``data:`` URLs, from inferior to superior."""
        labelled = np.flatnonzero((self.label > 0).any(axis=(0, 1)))
        first, last = (labelled[0], labelled[-1]) if len(labelled) else (0, self.label.shape[2] - 1)
        chosen = np.unique(np.linspace(first, last, _SLICES).round().astype(int))
        addresses = []
        for index in chosen:
            buffer = io.BytesIO()
            self.plane(2, int(index)).save(buffer, format="JPEG", quality=80)
            addresses.append("data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode())
        return addresses


def write_preview(views: Views, path: str | PathLike[str]) -> None:
    """Writes a PNG with the axial, the coronal and the sagittal plane with most foreground."""
    planes = [views.plane(axis, views.middle(axis)) for axis in (2, 1, 0)]
    canvas = Image.new("RGB", (sum(plane.width for plane in planes), max(plane.height for plane in planes)))
    left = 0
    for plane in planes:
        canvas.paste(plane, (left, (canvas.height - plane.height) // 2))
        left += plane.width
    with atomic_path(path) as temporary:
        canvas.save(temporary)
