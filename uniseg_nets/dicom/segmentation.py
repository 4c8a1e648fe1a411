"""Writes a label map as a DICOM Segmentation that refers to its series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
from nibabel.affines import apply_affine
from numpy.typing import NDArray
from pydicom.errors import InvalidDicomError

from uniseg_nets.dicom.codes import category_and_type
from uniseg_nets.io.files import atomic_path
from uniseg_nets.io.provenance import MANUFACTURER
from uniseg_nets.version import __version__

__all__ = ["missing_identifiers", "write_dicom_seg"]

# From RAS+ (ours) to LPS+ (DICOM's): x and y change their sign.
_LPS = np.array([-1, -1, 1])
_OFF_GRID = 0.01  # voxels
_IDENTIFIERS = ("StudyInstanceUID", "SeriesInstanceUID")
_CODE = hd.sr.CodedConcept("123109", "DCM", "Artificial Intelligence")


def write_dicom_seg(
    label: NDArray[np.uint8],
    affine: NDArray[np.float64],
    series: Sequence[str | PathLike[str]],
    names: Mapping[int, str],
    path: str | PathLike[str],
    mark: str = "",
) -> list[str]:
    """Writes a binary Segmentation, with one segment per class in the label map; returns their names.

    Args:
        label: (x, y, z) on the grid of the series.
        affine: (4, 4), voxel (x, y, z) -> RAS+ mm.
        series: files of the slices, in any order.
        names: value -> class, without the background.
        path: file to write.
        mark: ContentDescription, see :func:`~uniseg_nets.io.provenance.marked`.

    Raises:
        ValueError: if the label map has no foreground or another grid than the series, or the series lacks identifiers
            that a Segmentation must refer to.
    """
    slices = [_read(file) for file in series]
    frames = np.stack([_frame(label, affine, slice_) for slice_ in slices])
    present = [value for value in names if (frames == value).any()]
    if not present:
        raise ValueError("a label map without foreground makes no DICOM Segmentation: it would have no frame")
    numbers = np.zeros(256, dtype=np.uint8)
    numbers[present] = np.arange(1, len(present) + 1)
    algorithm = hd.AlgorithmIdentificationSequence("UniSeg", _CODE, __version__)
    descriptions = []
    for number, value in enumerate(present, start=1):
        category, kind = category_and_type(names[value])
        descriptions.append(
            hd.seg.SegmentDescription(
                segment_number=number,
                segment_label=names[value],
                segmented_property_category=category,
                segmented_property_type=kind,
                algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
                algorithm_identification=algorithm,
                tracking_uid=hd.UID(),
                tracking_id=names[value],
            )
        )
    segmentation = hd.seg.Segmentation(
        source_images=slices,
        pixel_array=numbers[frames],
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=descriptions,
        series_instance_uid=hd.UID(),
        series_number=1000,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name="uniseg-nets",
        software_versions=__version__,
        device_serial_number="0",
        content_label="SEGMENTATION",
        content_description=mark or None,
        series_description=f"UniSeg: {', '.join(names[value] for value in present)}"[:64],
    )
    with atomic_path(Path(path)) as temporary:
        segmentation.save_as(temporary)
    return [names[value] for value in present]


def _read(file: str | PathLike[str]) -> pydicom.Dataset:
    slice_ = pydicom.dcmread(file)
    # De-identified files may have these in the file meta information alone.
    slice_.SOPClassUID = slice_.get("SOPClassUID") or slice_.file_meta.MediaStorageSOPClassUID
    slice_.SOPInstanceUID = slice_.get("SOPInstanceUID") or slice_.file_meta.MediaStorageSOPInstanceUID
    missing = [name for name in _IDENTIFIERS if not slice_.get(name)]
    if missing:
        raise ValueError(f"{file} has no {' and no '.join(missing)}: a Segmentation could not refer to its series")
    return slice_


def missing_identifiers(folder: Path) -> str | None:
    """Identifiers for a Segmentation that the first DICOM file of a folder lacks, in words; ``None`` for none."""
    for file in sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")):
        try:
            header = pydicom.dcmread(file, specific_tags=list(_IDENTIFIERS), stop_before_pixels=True)
        except InvalidDicomError:
            continue
        missing = [name for name in _IDENTIFIERS if not header.get(name)]
        return f"{file} has no {' and no '.join(missing)}" if missing else None
    return None


def _frame(label: NDArray[np.uint8], affine: NDArray[np.float64], slice_: pydicom.Dataset) -> NDArray[np.uint8]:
    """The label values at the pixels of a slice, (rows, columns)."""
    corner = np.asarray(slice_.ImagePositionPatient, dtype=float)
    row_direction, column_direction = np.asarray(slice_.ImageOrientationPatient, dtype=float).reshape(2, 3)
    down, across = (float(mm) for mm in slice_.PixelSpacing)
    to_voxel = np.linalg.inv(affine)
    first = apply_affine(to_voxel, corner * _LPS)
    step_across = to_voxel[:3, :3] @ (row_direction * across * _LPS)
    step_down = to_voxel[:3, :3] @ (column_direction * down * _LPS)
    steps = np.stack((first, step_across, step_down))
    voxels = np.rint(steps).astype(int)
    last = voxels[0] + voxels[1] * (slice_.Columns - 1) + voxels[2] * (slice_.Rows - 1)
    size = np.asarray(label.shape)
    if (
        np.abs(steps - voxels).max() > _OFF_GRID
        or ((voxels[0] < 0) | (last < 0) | (voxels[0] >= size) | (last >= size)).any()
    ):
        raise ValueError(f"the label map (size {label.shape}) does not lie on the grid of {slice_.filename}")
    down_index, across_index = np.meshgrid(np.arange(slice_.Rows), np.arange(slice_.Columns), indexing="ij")
    x, y, z = (voxels[0][i] + voxels[1][i] * across_index + voxels[2][i] * down_index for i in range(3))
    return label[x, y, z]
