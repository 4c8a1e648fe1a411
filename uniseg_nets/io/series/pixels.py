"""Reads the values of a stack: pixels of any transfer syntax, in the unit of the modality."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import itk
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import SecondaryCaptureImageStorage

from uniseg_nets.io.series.frames import Frame
from uniseg_nets.io.series.stack import Stack
from uniseg_nets.io.series.suv import suv_factor

__all__ = ["read_stack"]

# Attributes that describe the stored pixels alone.
_LAYOUT = ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "NumberOfFrames")
# Of these, those that say which stored bits are a number, without HighBit, which follows from BitsStored.
_NUMBERS = ("BitsAllocated", "BitsStored", "PixelRepresentation")
_MONOCHROME = ("SamplesPerPixel", "PhotometricInterpretation")
_FLOATS = ("FloatPixelData", "DoubleFloatPixelData")


def read_stack(stack: Stack) -> NDArray[np.float32]:
    """The values (x, y, z), with x as the fastest axis in memory: Hounsfield units of CT, SUV by body weight of PET.

    Each frame has its own slope and intercept. MONOCHROME1 affects the display only: values are not inverted.

    Raises:
        ValueError: if the images have colours, a lookup table or a slope of 0, a PET cannot be converted to SUV, or
            pixels cannot be decoded or their header does not say how; the message names the file. All but these last
            are checked before pixels are read.
    """
    rescaling = [_rescaling(frame) for frame in stack.frames]
    unit = suv_factor(stack) if stack.series.modality == "PT" else 1.0
    rows, columns = (int(stack.frames[0].get(keyword)) for keyword in ("Rows", "Columns"))
    volume = np.empty((len(stack.frames), rows, columns), dtype=np.float32)
    for file, members in _by_file(stack):
        stored = _stored(file)
        for z, frame in members:
            slope, intercept = rescaling[z]
            volume[z] = (stored[frame.index] * slope + intercept) * unit
    return volume.transpose()


def _rescaling(frame: Frame) -> tuple[float, float]:
    if (colours := int(frame.get("SamplesPerPixel") or 1)) != 1:
        raise ValueError(f"{frame} has {colours} samples per pixel, expected 1: colours are no scan")
    if frame.get("ModalityLUTSequence"):
        raise ValueError(f"{frame} has a ModalityLUTSequence, expected RescaleSlope: export it again")
    slope, intercept = (frame.get(keyword) for keyword in ("RescaleSlope", "RescaleIntercept"))
    slope, intercept = 1.0 if slope is None else float(slope), 0.0 if intercept is None else float(intercept)
    if slope == 0 or not np.isfinite((slope, intercept)).all():
        raise ValueError(f"{frame} has RescaleSlope {slope} and RescaleIntercept {intercept}: its values are lost")
    return slope, intercept


def _by_file(stack: Stack) -> Iterator[tuple[Path, list[tuple[int, Frame]]]]:
    """Each file once, with its frames and their indices in the stack."""
    members: dict[Path, list[tuple[int, Frame]]] = {}
    for z, frame in enumerate(stack.frames):
        members.setdefault(frame.file, []).append((z, frame))
    yield from members.items()


def _stored(file: Path) -> NDArray[Any]:
    """The stored pixels, (frame, row, column)."""
    try:
        data = pydicom.dcmread(file, force=True)
        syntax = data.file_meta.get("TransferSyntaxUID")
        compressed = bool(syntax and syntax.is_encapsulated)
        if not any(keyword in data for keyword in _FLOATS):
            _check_layout(data, compressed)
        pixels = _decoded(data) if compressed else _without_overlays(data)
        return pixels.reshape(-1, data.Rows, data.Columns)
    except Exception as error:  # a damaged file can raise any error
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        raise ValueError(f"the pixels of {file.name} cannot be read: {reason}") from error


def _check_layout(data: pydicom.Dataset, compressed: bool) -> None:
    """Refuses pixels whose header does not say which of their bits are a number, and completes HighBit."""
    needed = (*_NUMBERS, "PixelData") if compressed else (*_NUMBERS, *_MONOCHROME, "PixelData")
    lacking = [keyword for keyword in needed if data.get(keyword) is None]
    if lacking:
        raise ValueError(f"it has no {' and no '.join(lacking)}: export the series again, with complete headers")
    allocated, stored = int(data.BitsAllocated), int(data.BitsStored)
    if data.get("HighBit") is None or stored == allocated:
        data.HighBit = stored - 1
    if not (0 < stored <= data.HighBit + 1 <= allocated and allocated % 8 == 0 and data.PixelRepresentation in (0, 1)):
        values = ", ".join(f"{keyword} {data.get(keyword)}" for keyword in (*_NUMBERS, "HighBit"))
        raise ValueError(
            f"it has {values}: expected 8, 16 or 32 bits, BitsStored of them from HighBit down, and "
            "PixelRepresentation 0 or 1; export the series again"
        )


def _decoded(data: pydicom.Dataset) -> NDArray[Any]:
    """Compressed pixels, decoded by ITK: pydicom alone has no decoder for lossless JPEG.

    ITK would apply slopes by its own rules, so that it gets a file with nothing but the stored pixels.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    meta.TransferSyntaxUID = data.file_meta.TransferSyntaxUID
    bare = FileDataset("", {}, b"\0" * 128, meta, is_implicit_VR=False, is_little_endian=True)
    bare.SOPClassUID, bare.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    bare.SamplesPerPixel, bare.PhotometricInterpretation = 1, "MONOCHROME2"
    for keyword in _LAYOUT:
        if keyword in data:
            setattr(bare, keyword, data[keyword].value)
    bare.PixelData = data.PixelData
    bare["PixelData"].VR = "OB"
    bare["PixelData"].is_undefined_length = True
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pixels.dcm"
        bare.save_as(file)
        return np.array(itk.array_from_image(itk.imread(str(file))))  # a copy: ITK owns the original


def _without_overlays(data: pydicom.Dataset) -> NDArray[Any]:
    """Uncompressed pixels. Overlays, which old scanners store in the unused bits, are removed."""
    pixels: NDArray[Any] = data.pixel_array
    bits = pixels.dtype.itemsize * 8
    if pixels.dtype.kind == "f" or data.BitsStored == bits:
        return pixels
    return (pixels << (bits - 1 - data.HighBit)) >> (bits - data.BitsStored)  # the shift back restores the sign
