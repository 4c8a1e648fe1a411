"""Synthetic 2D images of six modalities with masks, for demonstrations and tests.

They resemble their modality, but networks trained on them are of no use for real images.
Shapes: S side of the image; images (S, S, 3) from 0 to 1, masks (S, S).
"""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from uniseg_nets.io.files import atomic_path, write_json

__all__ = ["draw_picture", "write_phantom_pictures"]

Image3 = NDArray[np.float64]
Mask = NDArray[np.bool_]
Random = np.random.Generator


def write_phantom_pictures(output: str | PathLike[str], count: int = 1, validation: int = 0, seed: int = 0) -> Path:
    """Writes ``images/MODALITY_SEED.png``, ``masks/MODALITY_SEED.png`` and ``datalist.json``.

    Args:
        output: folder.
        count: images per modality for training.
        validation: further images per modality for validation.
        seed: seed of the first image. The same seed gives the same image.

    Returns:
        The path of the datalist.

    Raises:
        FileExistsError: there is no datalist, and one of the folders has files, which could be replaced.
    """
    output = Path(output)
    for folder in (output / "images", output / "masks"):
        if not (output / "datalist.json").is_file() and folder.exists() and any(folder.iterdir()):
            raise FileExistsError(
                f"{folder} has files and there is no datalist.json of phantoms: choose another OUTPUT, or move it away"
            )
    content: dict[str, list[dict[str, str]]] = {"training": [], "validation": []}
    for index in range(count + validation):
        for modality in _DRAWN:
            name = f"{modality}_{seed + index:05d}.png"
            image, mask = draw_picture(modality, seed + index)
            for kind, array in (("images", image * 255), ("masks", mask * 255)):
                with atomic_path(output / kind / name) as temporary:
                    Image.fromarray(array.round().astype(np.uint8)).save(temporary)
            entry = {"image": f"images/{name}", "label": f"masks/{name}", "modality": modality}
            content["training" if index < count else "validation"].append(entry)
    write_json(output / "datalist.json", content)
    return output / "datalist.json"


def draw_picture(modality: str, seed: int, side: int = 256) -> tuple[Image3, Mask]:
    """An image of a modality (S, S, 3), from 0 to 1, and the mask of its structure (S, S).

    Raises:
        KeyError: if there is no such modality.
    """
    rng = np.random.default_rng([seed, list(_DRAWN).index(modality)])
    image, mask = _DRAWN[modality](rng, side)
    image += rng.normal(0, 0.02, image.shape)
    return np.clip(image, 0, 1), mask


def _dermoscopy(rng: Random, side: int) -> tuple[Image3, Mask]:
    """A dark spot on skin, with hairs over it."""
    mask = _blob(rng, side, rng.uniform(0.15, 0.32))
    image = _coloured(1 + _noise(rng, side, 12, 0.05), (0.86, 0.66, 0.58))
    depth = gaussian_filter(mask.astype(float), 2) * (1 + _noise(rng, side, 5, 0.3))
    image -= depth[..., None] * np.array([0.38, 0.42, 0.36]) * rng.uniform(0.7, 1.1)
    for _ in range(rng.integers(0, 12)):
        image[_stroke(rng, side, 0.004)] = 0.15
    return image, mask


def _xray(rng: Random, side: int) -> tuple[Image3, Mask]:
    """Two lungs in a chest."""
    lungs = _ellipse(side, (0.5, 0.3), (rng.uniform(0.27, 0.36), rng.uniform(0.12, 0.17)), rng.uniform(-0.2, 0.1))
    lungs |= _ellipse(side, (0.5, 0.7), (rng.uniform(0.27, 0.36), rng.uniform(0.11, 0.16)), rng.uniform(-0.1, 0.2))
    body = gaussian_filter(_ellipse(side, (0.55, 0.5), (0.6, 0.46), 0).astype(float), 6)
    y = np.arange(side)[:, None] / side
    ribs = 0.06 * np.sin(2 * np.pi * (y * rng.uniform(7, 10) + 0.8 * np.abs(np.arange(side) / side - 0.5)))
    grey = 0.75 * body - 0.45 * gaussian_filter(lungs.astype(float), 2) + ribs * body + _noise(rng, side, 8, 0.04)
    grey[:, int(0.46 * side) : int(0.54 * side)] += 0.12
    return _coloured(grey, (1, 1, 1)), lungs


def _ultrasound(rng: Random, side: int) -> tuple[Image3, Mask]:
    """A bright-rimmed organ in speckle, within a fan."""
    centre, axes = rng.uniform(0.45, 0.62, 2), rng.uniform(0.14, 0.26, 2)
    angle = rng.uniform(0, np.pi)
    mask = _ellipse(side, centre, axes, angle)
    rim = mask & ~_ellipse(side, centre, axes - 0.025, angle)
    speckle = gaussian_filter(rng.rayleigh(1, (side, side)), 1.2)
    grey = (0.25 + 0.1 * _noise(rng, side, 20, 1)) * speckle
    grey = np.where(mask, 0.35 * grey, grey) + 0.5 * gaussian_filter(rim.astype(float), 1.5) * speckle
    y, x = np.mgrid[:side, :side] / side - np.array([-0.1, 0.5])[:, None, None]
    fan = (np.abs(np.arctan2(x, y)) < 0.75) & (np.hypot(x, y) < 1.05)
    return _coloured(grey * fan, (1, 1, 1)), mask & fan


def _fundus(rng: Random, side: int) -> tuple[Image3, Mask]:
    """Vessels that leave the bright disc of a retina."""
    eye = _ellipse(side, (0.5, 0.5), (0.47, 0.47), 0)
    disc = np.array([rng.uniform(0.42, 0.58), rng.choice([0.25, 0.75])])
    mask = np.zeros((side, side), dtype=bool)
    for _ in range(rng.integers(7, 12)):
        mask |= _walk(rng, side, disc, rng.uniform(0, 2 * np.pi), rng.uniform(0.006, 0.013))
    mask &= eye
    image = _coloured(1 + _noise(rng, side, 25, 0.12), (0.75, 0.36, 0.15))
    image += gaussian_filter(_ellipse(side, disc, (0.07, 0.07), 0).astype(float), 3)[..., None] * [0.2, 0.35, 0.25]
    image -= gaussian_filter(mask.astype(float), 0.7)[..., None] * [0.25, 0.2, 0.08]
    return image * eye[..., None], mask


def _microscopy(rng: Random, side: int) -> tuple[Image3, Mask]:
    """Stained nuclei."""
    image = _coloured(1 + _noise(rng, side, 10, 0.06), (0.88, 0.78, 0.86))
    mask = np.zeros((side, side), dtype=bool)
    for _ in range(rng.integers(4, 14)):
        mask |= _ellipse(side, rng.uniform(0, 1, 2), rng.uniform(0.03, 0.08, 2), rng.uniform(0, np.pi))
    stain = gaussian_filter(mask.astype(float), 1) * (1 + _noise(rng, side, 2, 0.3))
    return image - stain[..., None] * np.array([0.45, 0.5, 0.22]), mask


def _colonoscopy(rng: Random, side: int) -> tuple[Image3, Mask]:
    """A polyp on a wall that gets darker towards the lumen."""
    y, x = np.mgrid[:side, :side] / side
    lumen = rng.uniform(0.2, 0.8, 2)
    wall = 0.35 + 0.75 * np.clip(np.hypot(y - lumen[0], x - lumen[1]), 0, 0.8)
    folds = 0.07 * np.sin(30 * np.hypot(y - lumen[0], x - lumen[1]) + rng.uniform(0, 6))
    image = _coloured(wall + folds + _noise(rng, side, 10, 0.05), (0.85, 0.42, 0.36))
    mask = _blob(rng, side, rng.uniform(0.1, 0.22))
    bump = gaussian_filter(mask.astype(float), 4)
    image += (bump * (0.15 + 0.1 * _noise(rng, side, 3, 1)))[..., None] * [1.0, 0.7, 0.6]
    image -= np.abs(bump - gaussian_filter(bump, 4))[..., None] * 0.6
    image[_ellipse(side, rng.uniform(0.2, 0.8, 2), (0.012, 0.02), 1)] = 1
    return image, mask


_DRAWN: dict[str, Callable[[Random, int], tuple[Image3, Mask]]] = {
    "dermoscopy": _dermoscopy,
    "xray": _xray,
    "ultrasound": _ultrasound,
    "fundus": _fundus,
    "microscopy": _microscopy,
    "colonoscopy": _colonoscopy,
}


def _noise(rng: Random, side: int, width: float, strength: float) -> NDArray[np.float64]:
    """Smooth noise (S, S) with standard deviation ``strength``."""
    field = gaussian_filter(rng.normal(size=(side, side)), width, mode="wrap")
    return np.asarray(field * strength / field.std())


def _coloured(grey: Any, colour: Any) -> Image3:
    return np.asarray(grey)[..., None] * np.asarray(colour, dtype=float)


def _ellipse(side: int, centre: Any, axes: Any, angle: float) -> Mask:
    """Centre and half axes (row, column) as shares of the side."""
    y, x = np.mgrid[:side, :side] / side - np.asarray(centre)[:, None, None]
    along, across = y * np.cos(angle) + x * np.sin(angle), x * np.cos(angle) - y * np.sin(angle)
    return np.asarray((along / axes[0]) ** 2 + (across / axes[1]) ** 2 < 1)


def _blob(rng: Random, side: int, radius: float) -> Mask:
    """A round shape with an uneven outline."""
    centre = rng.uniform(0.35, 0.65, 2)
    y, x = np.mgrid[:side, :side] / side - centre[:, None, None]
    angle = np.arctan2(y, x)
    outline = sum(rng.normal(0, 0.12 / k) * np.cos(k * angle + rng.uniform(0, 6)) for k in range(1, 7))
    return np.asarray(np.hypot(y, x) < radius * (1 + outline))


def _stroke(rng: Random, side: int, width: float) -> Mask:
    """A straight line across the image."""
    y, x = np.mgrid[:side, :side] / side - rng.uniform(0.1, 0.9, 2)[:, None, None]
    angle = rng.uniform(0, np.pi)
    return np.asarray(np.abs(y * np.cos(angle) + x * np.sin(angle)) < width)


def _walk(rng: Random, side: int, start: NDArray[np.float64], angle: float, width: float) -> Mask:
    """A winding line that gets thinner."""
    mask = np.zeros((side, side), dtype=bool)
    place, step, length = start.copy(), 0.5 / side, int(1.4 * side)
    for index in range(length):
        angle += rng.normal(0, 0.05)
        place += step * np.array([np.sin(angle), np.cos(angle)]) * 2
        reach = max(0.6, width * side * (1 - index / length))
        low = np.maximum(np.floor(place * side - reach), 0).astype(int)
        high = np.minimum(np.ceil(place * side + reach) + 1, side).astype(int)
        if (low >= high).any():
            break
        y, x = np.mgrid[low[0] : high[0], low[1] : high[1]] - (place * side)[:, None, None]
        mask[low[0] : high[0], low[1] : high[1]] |= y**2 + x**2 <= reach**2
    return mask
