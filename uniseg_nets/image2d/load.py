"""Loads 2D images (PNG, JPEG, TIFF, BMP, single DICOM images) of any bit depth as three channels from 0 to 1.

Not MONAI's ``PILReader`` and ``ITKReader``: they keep bit depth and channels unchanged, transpose the image, and decode
an image of any size before it can be refused.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Hashable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import itk
import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError
from scipy.ndimage import maximum_filter, minimum_filter

from uniseg_nets.io.series.files import is_dicom

__all__ = ["LoadMaskd", "LoadPictured", "check_sizes", "read_mask", "read_picture"]

logger = logging.getLogger(__name__)

_SMALLEST, _LARGEST = 32, 10_000
# Intensity window of images with more than eight bits: values outside are rare.
_PERCENTILES = (0.5, 99.5)
# A lossy or resized mask has more values than this; of fewer, a low one is a number and no noise.
_FEW = 8
# Pillow's raw modes of 16 bits per colour end in the order of bytes; BGR;16 is a pixel of 5, 6 and 5 bits.
_DEEP_COLOURS = re.compile(r";16[BLN]$")


def read_picture(path: str | PathLike[str]) -> NDArray[np.float32]:
    """Reads an image file -> (3, H, W), float32, red, green and blue from 0 to 1, as a viewer shows it.

    Grey becomes three equal channels, an alpha channel is dropped, and a camera's orientation is applied. Eight-bit
    values are divided by 255; deeper images and DICOM are windowed to the percentiles 0.5 and 99.5 of their values. NaN
    pixels get the lowest value, with a warning.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is not an image, has several frames or no finite value, or a side of less than 32 or
            more than 10,000 pixels; the message names the file.
    """
    values, top = _read(Path(path))
    array = values / top if top is not None else _windowed(values)
    array = np.stack([array] * 3, axis=-1) if array.ndim == 2 else array[..., :3]
    return np.ascontiguousarray(array.transpose(2, 0, 1), dtype=np.float32)


def read_mask(path: str | PathLike[str]) -> NDArray[np.uint8]:
    """Reads the file of a mask of one structure -> (1, H, W), uint8, 1 above half of its maximum.

    Edges of lossy or resized files have values between the two. Areas of such values, or of several colours, are
    objects or classes of their own, which are refused. The stored values are used without a window, which would lose a
    mask that is foreground everywhere. What is transparent is background.

    Raises:
        FileNotFoundError, ValueError: as for :func:`read_picture`; or if the mask has areas of more than two values or
            of several colours, or all that is not transparent is black.
    """
    values, _ = _read(Path(path))
    if values.shape[2:] == (4,):
        shown = values[..., 3:] > values[..., 3].max() / 2
        is_drawn = np.ptp(values, axis=(0, 1)).any()
        values = values[..., :3] * shown
        if is_drawn and not values.any() and not shown.all():
            raise ValueError(f"{path} is black or transparent everywhere: draw the structure in white")
    colours = values.reshape(*values.shape[:2], -1)
    if (colours == colours[..., :1]).all():
        colours = colours[..., :1]
    grey = colours.max(axis=-1)
    low, high = min(grey.min(), 0), grey.max()
    noise = 0.1 * (high - low)
    lowest = low if len(np.unique(grey)) <= _FEW else low + noise
    areas = (grey > lowest) & (grey < high - noise) & _is_flat(colours)
    if areas.any():
        raise ValueError(
            f"{path} has areas of {', '.join(f'{value:g}' for value in np.unique(grey[areas])[:5])} beside 0 and "
            f"{high:g}: a mask has one value for the structure; give all objects the same, or a file per class"
        )
    mask = grey > (low + high) / 2
    if mask.any():
        own = np.median(colours[mask], axis=0)
        if (mask & (np.abs(colours - own).max(axis=-1) > noise) & _is_flat(colours)).any():
            raise ValueError(f"{path} has areas of several colours: a mask has one structure; give a file per class")
    return mask.astype(np.uint8)[None]


def check_sizes(
    mask: NDArray[Any] | torch.Tensor,
    mask_path: str | PathLike[str],
    image: NDArray[Any] | torch.Tensor,
    image_path: str | PathLike[str],
) -> None:
    """Checks that image and mask (C, H, W) have the same size.

    Raises:
        ValueError: if they differ; the message names both files.
    """
    if mask.shape[-2:] != image.shape[-2:]:
        (height, width), (own_height, own_width) = mask.shape[-2:], image.shape[-2:]
        raise ValueError(
            f"{mask_path} has {width} x {height} pixels, {image_path} {own_width} x {own_height}: "
            "a mask must have the size of its image; rotate or export one of them again"
        )


class LoadPictured(MapTransform):
    """:func:`read_picture` for the keys: (3, H, W), float32, with ``filename_or_obj`` in its metadata."""

    read: Callable[..., NDArray[Any]] = staticmethod(read_picture)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        for key in self.key_iterator(d):
            d[key] = MetaTensor(torch.from_numpy(self.read(d[key])), meta={"filename_or_obj": str(d[key])})
        return d


class LoadMaskd(LoadPictured):
    """:func:`read_mask` for the keys: (1, H, W), uint8.

    Args:
        keys, allow_missing_keys: as in MONAI.
        image_key: key of the image, which is loaded before and has the size of the mask.

    Raises:
        ValueError: if the mask has another size than the image.
    """

    read = staticmethod(read_mask)

    def __init__(self, keys: KeysCollection, image_key: str = "image", allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.image_key = image_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = super().__call__(data)
        image = d[self.image_key]
        for key in self.key_iterator(d):
            check_sizes(d[key], d[key].meta["filename_or_obj"], image, image.meta["filename_or_obj"])
        return d


def _is_flat(colours: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether a pixel's neighbours have its colour: (H, W, channels) -> (H, W)."""
    around = (3, 3, 1)
    return (minimum_filter(colours, around) == maximum_filter(colours, around)).all(axis=-1)


def _read(path: Path) -> tuple[NDArray[np.float32], float | None]:
    """The finite values of a file, and the value of white; ``None`` if that is unknown.

    They are (H, W), (H, W, 3), or with transparent pixels (H, W, 4), the last of which is 0 where they are.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    return _read_dicom(path) if is_dicom(path) else _read_pil(path)


def _read_pil(path: Path) -> tuple[NDArray[np.float32], float | None]:
    try:
        with Image.open(path) as opened:
            _check_size(path, opened.width, opened.height)
            frames = getattr(opened, "n_frames", 1)
            # A phone's JPEG (MPO) has the image first, then previews and depth maps.
            if frames > 1 and opened.format != "MPO":
                raise ValueError(f"{path} holds {frames} frames: give each as a separate image")
            deep = _has_deep_colours(opened)
            image = ImageOps.exif_transpose(opened)
            if image.mode[0] in "IF":  # more than eight bits
                return _finite(np.asarray(image, dtype=np.float32), path), None
            if deep and image.mode != "RGB":
                raise ValueError(f"{path} has 16 bits per colour and transparent pixels: save it without transparency")
            if deep:
                return _read_deep_colours(path), None
            kind = "RGBA" if image.has_transparency_data else "RGB"
            return np.asarray(image.convert(kind), dtype=np.float32), 255.0
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"cannot read {path} as an image: {error}") from error


def _has_deep_colours(opened: ImageFile.ImageFile) -> bool:
    """Whether a file has 16 bits per colour, of which Pillow would drop the lower half."""
    arguments = opened.tile[0][3] if opened.tile else ""  # the raw mode, or it and numbers such as a row's bytes
    raw_mode = arguments[0] if isinstance(arguments, tuple) else arguments
    return _DEEP_COLOURS.search(str(raw_mode)) is not None


def _read_deep_colours(path: Path) -> NDArray[np.float32]:
    """The values (H, W, 3) of an image of 16 bits per colour."""
    try:
        image = itk.imread(str(path), pixel_type=itk.Vector[itk.F, 3])
    except RuntimeError as error:
        raise ValueError(f"cannot read {path} as an image: {str(error).strip().splitlines()[-1]}") from error
    return np.asarray(itk.array_from_image(image))


def _read_dicom(path: Path) -> tuple[NDArray[np.float32], float | None]:
    reader = itk.GDCMImageIO.New()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        sizes = [reader.GetDimensions(axis) for axis in range(reader.GetNumberOfDimensions())]
        _check_size(path, sizes[0], sizes[1])
        if len(sizes) > 2 and sizes[2] > 1:
            raise ValueError(f"{path} holds {sizes[2]} frames: give each as a separate image")
        array = itk.array_from_image(itk.imread(str(path)))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ValueError(f"cannot read {path} as an image: {reason}") from error
    colour = reader.GetNumberOfComponents() == 3
    array = array.reshape(sizes[1], sizes[0], -1) if colour else array.reshape(sizes[1], sizes[0])
    # ITK has already inverted MONOCHROME1, whose lowest value is white.
    top = 255.0 if colour and array.dtype == np.uint8 else None
    return _finite(array.astype(np.float32), path), top


def _finite(values: NDArray[np.float32], path: Path) -> NDArray[np.float32]:
    """The values with NaN replaced by the lowest value, and infinity by the lowest or the highest."""
    finite = np.isfinite(values)
    if finite.all():
        return values
    if not finite.any():
        raise ValueError(f"{path} holds no finite value: export it again")
    low, high = values[finite].min(), values[finite].max()
    logger.warning("%s: %d of %d pixels hold no finite value", path, (~finite).sum(), values.size)
    return np.nan_to_num(values, nan=low, neginf=low, posinf=high)


def _windowed(array: NDArray[np.float32]) -> NDArray[np.float32]:
    low, high = np.percentile(array, _PERCENTILES)
    if high <= low:
        low, high = array.min(), max(array.max(), array.min() + 1)
    return np.clip((array - low) / (high - low), 0, 1)


def _check_size(path: Path, width: int, height: int) -> None:
    if min(width, height) < _SMALLEST:
        raise ValueError(f"{path} has {width} x {height} pixels, expected at least {_SMALLEST} a side")
    if max(width, height) > _LARGEST:
        raise ValueError(
            f"{path} has {width} x {height} pixels, at most {_LARGEST:,} a side: cut it into tiles or shrink it"
        )
