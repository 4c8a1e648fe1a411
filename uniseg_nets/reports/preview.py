"""Pictures of label maps: a scan, its reference and its prediction, one row per case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
from monai.data import MetaTensor
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from uniseg_nets.io.files import atomic_path
from uniseg_nets.reports.views import Views, towards_ras
from uniseg_nets.tasks import STACK
from uniseg_nets.transforms.load import LoadCase

__all__ = ["PreviewRow", "save_preview"]

_PANEL = 280  # pixels, longer side of a panel
_LINE = 24  # pixels, height of a line of text
_GAP = 8


@dataclass(frozen=True)
class PreviewRow:
    """One row of a picture: files on one grid. The last channel of a scan is shown; the reference is optional.

    ``modalities`` are those of the task's channels, which choose the series of a DICOM folder.
    """

    title: str
    image: str | Sequence[str]
    reference: str | None
    prediction: str
    modalities: Sequence[str] = ()


def save_preview(rows: Sequence[PreviewRow], path: str | PathLike[str]) -> None:
    """Writes a PNG with one slice per case: the one with most foreground in the reference, or else in the prediction.

    Slices are axial, or those of a stack with thick slices. They have radiological orientation, as in a run's report:
    anterior up, the patient's right (R) on the left. Within a row a class has one colour.
    """
    font = ImageFont.load_default(15)
    pictures = []
    for row in rows:
        image, spacing = _ras(row.image, row.modalities)
        prediction = _ras(row.prediction)[0].astype(np.uint8)
        reference = None if row.reference is None else _ras(row.reference)[0].astype(np.uint8)
        axis = int(np.argmax(spacing)) if max(spacing) > STACK * min(spacing) else 2
        others = tuple(other for other in range(3) if other != axis)
        index = int(((prediction if reference is None else reference) > 0).sum(axis=others).argmax())
        shown = [prediction] if reference is None else [reference, prediction]
        names = {int(value): "" for value in np.unique(shown) if value}
        labels = (np.zeros_like(prediction), reference, prediction)
        across, up = (image.shape[other] * spacing[other] for other in others)
        width = round(_PANEL * min(1, across / up))
        pictures.append(
            [None if one is None else Views(image, one, spacing, names).plane(axis, index, width) for one in labels]
        )
    heights = [max(panel.height for panel in panels if panel is not None) for panels in pictures]
    canvas = Image.new("RGB", (3 * _PANEL + 2 * _GAP, _LINE + sum(heights) + len(rows) * (_LINE + _GAP)))
    draw = ImageDraw.Draw(canvas)
    for number, title in enumerate(("scan", "reference", "UniSeg")):
        draw.text((number * (_PANEL + _GAP) + _PANEL / 2, _LINE / 2), title, fill="white", anchor="mm", font=font)
    top = _LINE
    for row, panels, height in zip(rows, pictures, heights):
        draw.text((_GAP, top + _LINE / 2), row.title, fill="#cccccc", anchor="lm", font=font)
        top += _LINE
        for number, panel in enumerate(panels):
            left = number * (_PANEL + _GAP)
            if panel is None:
                draw.text((left + _PANEL / 2, top + height / 2), "no reference", fill="#777777", anchor="mm", font=font)
            else:
                canvas.paste(panel, (left + (_PANEL - panel.width) // 2, top + (height - panel.height) // 2))
        top += height + _GAP
    with atomic_path(path) as temporary:
        canvas.save(temporary)


def _ras(file: str | Sequence[str], modalities: Sequence[str] = ()) -> tuple[NDArray[Any], list[float]]:
    """The last channel of a scan, (x, y, z) towards right, anterior, superior; and its spacing (x, y, z) in mm."""
    image: MetaTensor = LoadCase(modalities)(file)
    return towards_ras(np.nan_to_num(image.as_tensor()[-1].numpy(), posinf=0, neginf=0), image.affine.numpy())
