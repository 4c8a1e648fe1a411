"""2D images from files: PNG, JPEG, TIFF, BMP and single DICOM images, of any depth, to three channels from 0 to 1.

Not MONAI's ``PILReader`` and ``ITKReader``: they keep every depth and number of channels as it comes, transpose the
image, and decode an image of any size before it can be refused.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import itk
import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

__all__ = ["PICTURE_ENDINGS", "LoadMaskd", "LoadPictured", "read_mask", "read_picture"]

_DICOM_ENDINGS = (".dcm", ".ima")
PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", *_DICOM_ENDINGS)
_SMALLEST, _LARGEST = 32, 10_000
# Of images deeper than eight bits: what lies outside is too rare to look at.
_PERCENTILES = (0.5, 99.5)


def read_picture(path: str | PathLike[str]) -> NDArray[np.float32]:
    """An image file -> (3, H, W), red, green and blue from 0 to 1, as a viewer shows it.

    Grey becomes three equal channels, an alpha channel is dropped, a camera's orientation is applied. Eight bits are
    divided by 255; deeper images and DICOM are windowed to the percentiles 0.5 and 99.5 of their values.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no image, one of several frames, or a side of less than 32 or more than 10,000 pixels; the message
            names the file.
    """
    path = Path(path)
    array = _read_dicom(path) if _is_dicom(path) else _read_pil(path)
    if array.ndim == 2:
        array = np.stack([array] * 3, axis=-1)
    return np.ascontiguousarray(array.transpose(2, 0, 1), dtype=np.float32)


def read_mask(path: str | PathLike[str]) -> NDArray[np.uint8]:
    """A mask's file -> (1, H, W), 1 where it is brighter than half its maximum (lossy masks have a rim between).

    Raises:
        FileNotFoundError, ValueError: as for :func:`read_picture`.
    """
    grey = read_picture(path).max(axis=0, keepdims=True)
    return (grey > grey.max() / 2).astype(np.uint8)


class LoadPictured(MapTransform):
    """:func:`read_picture` under the keys; (3, H, W) float32, with ``filename_or_obj`` among its meta data."""

    read: Callable[..., NDArray[Any]] = staticmethod(read_picture)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        for key in self.key_iterator(d):
            d[key] = MetaTensor(torch.from_numpy(self.read(d[key])), meta={"filename_or_obj": str(d[key])})
        return d


class LoadMaskd(LoadPictured):
    """:func:`read_mask` under the keys; (1, H, W) uint8."""

    read = staticmethod(read_mask)


def _is_dicom(path: Path) -> bool:
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    with path.open("rb") as file:
        return path.suffix.lower() in _DICOM_ENDINGS or file.read(132)[128:] == b"DICM"


def _read_pil(path: Path) -> NDArray[Any]:
    try:
        with Image.open(path) as opened:
            _check_size(path, opened.width, opened.height)
            frames = getattr(opened, "n_frames", 1)
            if frames > 1:
                raise ValueError(f"{path} holds {frames} frames: give each as an image of its own")
            image = ImageOps.exif_transpose(opened)
            if image.mode[0] in "IF":  # deeper than eight bits
                return _windowed(np.asarray(image, dtype=np.float32))
            return np.asarray(image.convert("RGB"), dtype=np.float32) / 255
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"cannot read {path} as an image: {error}") from error


def _read_dicom(path: Path) -> NDArray[Any]:
    reader = itk.GDCMImageIO.New()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        sizes = [reader.GetDimensions(axis) for axis in range(reader.GetNumberOfDimensions())]
        _check_size(path, sizes[0], sizes[1])
        if len(sizes) > 2 and sizes[2] > 1:
            raise ValueError(f"{path} holds {sizes[2]} frames: give each as an image of its own")
        array = itk.array_from_image(itk.imread(str(path)))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ValueError(f"cannot read {path} as an image: {reason}") from error
    colour = reader.GetNumberOfComponents() == 3
    array = array.reshape(sizes[1], sizes[0], -1) if colour else array.reshape(sizes[1], sizes[0])
    if colour and array.dtype == np.uint8:
        return array.astype(np.float32) / 255
    dictionary = reader.GetMetaDataDictionary()
    inverted = dictionary.HasKey("0028|0004") and "MONOCHROME1" in str(dictionary["0028|0004"])
    return _windowed(-array.astype(np.float32) if inverted else array.astype(np.float32))


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
