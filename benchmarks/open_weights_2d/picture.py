"""The picture of the open 2D weights: per modality the held image of median Dice and the one of lowest.

    python -m benchmarks.open_weights_2d.picture DATA EVAL PICTURE.png

DATA has the datalist, EVAL is the folder of the evaluation of its held images.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import binary_erosion

from benchmarks.open_weights_2d.data import held_images
from benchmarks.open_weights_2d.table import by_modality
from uniseg_nets.image2d.load import read_mask, read_picture
from uniseg_nets.io.files import atomic_path
from uniseg_nets.results.colours import rgb

_SIDE = 320  # pixels of a panel
_LINE = 26  # pixels of a line of text
_GAP = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("evaluation", type=Path)
    parser.add_argument("picture", type=Path)
    options = parser.parse_args()
    cases = {case["name"]: case for case in held_images(options.data)}
    titles = ("image", "reference", "prediction")
    chosen = []
    for modality, rows in by_modality(options.evaluation / "cases.csv").items():
        ordered = sorted(rows, key=lambda row: float(row["dice"]))
        for word, row in (("median", ordered[len(ordered) // 2]), ("lowest", ordered[0])):
            chosen.append((f"{modality}, {word}: Dice {float(row['dice']):.2f}", cases[row["case"]]))
    font = ImageFont.load_default(16)
    canvas = Image.new("RGB", (3 * (_SIDE + _GAP) - _GAP, _LINE + len(chosen) * (_LINE + _SIDE)))
    draw = ImageDraw.Draw(canvas)
    for column, title in enumerate(titles):
        draw.text((column * (_SIDE + _GAP) + _SIDE / 2, _LINE / 2), title, "white", font, "mm")
    for number, (title, case) in enumerate(chosen):
        top = _LINE + number * (_LINE + _SIDE)
        draw.text((_GAP, top + _LINE / 2), title, "white", font, "lm")
        image = (read_picture(case["image"]).transpose(1, 2, 0) * 255).astype(np.uint8)
        panel = Image.fromarray(image).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
        masks = (None, case["label"], options.evaluation / "masks" / f"{case['name']}_mask.png")
        for column, mask in enumerate(masks):
            shown = panel if mask is None else _outlined(panel, read_mask(mask)[0], rgb(column))
            canvas.paste(shown, (column * (_SIDE + _GAP), top + _LINE))
    with atomic_path(options.picture) as temporary:
        canvas.save(temporary)


def _outlined(panel: Image.Image, mask: NDArray[np.uint8], colour: tuple[int, int, int]) -> Image.Image:
    """The panel with the outline of a mask (H, W), two pixels wide."""
    inside = np.asarray(Image.fromarray(mask).resize(panel.size, Image.Resampling.NEAREST), dtype=bool)
    pixels = np.array(panel)
    pixels[inside & ~binary_erosion(inside, iterations=2)] = colour
    return Image.fromarray(pixels)


if __name__ == "__main__":
    main()
