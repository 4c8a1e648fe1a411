"""Pictures of label maps: a scan, its reference and what was found, one row a case."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from monai.data import MetaTensor
from nibabel.orientations import apply_orientation, io_orientation
from numpy.typing import NDArray

from uniseg_nets.colours import COLOURS
from uniseg_nets.files import atomic_path
from uniseg_nets.transforms.load import LoadCase

__all__ = ["PreviewRow", "save_preview"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PreviewRow:
    """One row of a picture: files of one grid; of several channels the last is shown."""

    title: str
    image: str | Sequence[str]
    reference: str
    found: str


def save_preview(rows: Sequence[PreviewRow], path: str | PathLike[str]) -> None:
    """Writes a PNG with the axial slice of each case that holds most of its reference.

    Slices are shown as radiologists see them, as in a run's report: anterior up, the patient's right (R) on the left.

    Without matplotlib nothing is written, with a warning: figures and label maps do not depend on it.
    """
    try:
        from matplotlib.colors import ListedColormap
        from matplotlib.figure import Figure
    except ImportError:
        logger.warning("no picture %s: it needs matplotlib, `pip install matplotlib`", path)
        return
    figure = Figure(figsize=(9, 3 * len(rows)), facecolor="black")
    panels = figure.subplots(len(rows), 3, squeeze=False)
    for line, row in zip(panels, rows):
        image, reference, found = (_ras(file) for file in (row.image, row.reference, row.found))
        index = int((reference > 0).sum(axis=(0, 1)).argmax())
        low, high = np.percentile(image[:, :, index], (2, 99.5))
        values = np.setdiff1d(np.union1d(reference, found), [0])
        for panel, label in zip(line, (None, reference, found)):
            panel.imshow(_axial(image, index), cmap="gray", vmin=low, vmax=high, origin="lower")
            if label is not None:
                shown = _axial(label, index)
                mask = np.ma.masked_where(shown == 0, np.searchsorted(values, shown) % len(COLOURS))
                style: dict[str, Any] = {"vmin": 0, "vmax": len(COLOURS) - 1, "alpha": 0.6, "interpolation": "nearest"}
                panel.imshow(mask, cmap=ListedColormap(COLOURS), origin="lower", **style)
            for letter, x, side in (("R", 0.02, "left"), ("L", 0.98, "right")):
                panel.text(x, 0.5, letter, color="white", ha=side, va="center", transform=panel.transAxes)
            panel.set_axis_off()
        line[0].set_title(row.title, color="white", fontsize=11)
    panels[0, 1].set_title("reference", color="white", fontsize=11)
    panels[0, 2].set_title("UniSeg", color="white", fontsize=11)
    figure.tight_layout()
    with atomic_path(Path(path)) as temporary:
        figure.savefig(temporary, dpi=90)


def _axial(volume: NDArray[Any], index: int) -> NDArray[Any]:
    """A slice of a volume towards right, anterior, superior: rows towards anterior, columns from right to left."""
    return volume[::-1, :, index].T


def _ras(file: str | Sequence[str]) -> NDArray[np.float32]:
    """The last channel of a scan, (x, y, z) towards right, anterior, superior."""
    image: MetaTensor = LoadCase()(file)
    last = np.nan_to_num(image.as_tensor()[-1].numpy())
    return np.asarray(apply_orientation(last, io_orientation(image.affine.numpy())))
