"""Loads a case from disk as one multi-channel image.

Not MONAI's ``LoadImaged``: a case may be one file, several files (one per channel, possibly on different grids) or a
folder with a DICOM series, and MONAI Label replaces every ``LoadImaged`` with a loader for a single file.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from os import PathLike
from pathlib import Path
from typing import Any, cast

import nibabel as nib
import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, ResampleToMatch
from monai.utils.enums import MetaKeys
from nibabel.affines import apply_affine
from numpy.typing import NDArray

from uniseg_nets.io.names import NIFTI_ENDINGS, SCAN_ENDINGS, scan_name
from uniseg_nets.io.series import Stack, dicom_modality, find_series, read_stack, stack_of
from uniseg_nets.tasks import TaskTable
from uniseg_nets.transforms.grid import covered_share, same_grid
from uniseg_nets.transforms.itk_files import read_itk
from uniseg_nets.transforms.nifti import checked_affine, open_nifti, orientation_doubts, read_voxels

__all__ = ["DOUBTS", "SERIES", "LoadCase", "LoadCased", "series_record"]

logger = logging.getLogger(__name__)

# Key of an image's metadata: sentences on what is doubtful about the scan, one a line; absent for nothing.
DOUBTS = "doubts"
# Key of an image's metadata, and of a record: the DICOM series of the channels, see :func:`series_record`.
SERIES = "series"
# Shares of the first channel's grid. Where another channel has no voxels, those of its border are repeated. Below the
# first share the other channel is refused: most of it would be invented. Below the second one it is doubtful. A CT of
# 700 mm around a PET of 600 mm is covered to 0.73, and the patient in it wholly.
_LEAST_COVERED, _USUALLY_COVERED = 0.25, 0.7
_TO_FIRST: Callable[..., Any] = ResampleToMatch(mode="bilinear", padding_mode="border")


class LoadCase:
    """Loads one case as a float32 :class:`~monai.data.MetaTensor`.

    Takes NIfTI, NRRD, MHA / MHD, a folder with a DICOM series, a list of these (one per channel), a nibabel image, or
    an array or tensor (x, y, z) or (C, x, y, z). The fourth axis of a file is its channels. Channels on another grid
    than the first one are resampled to it, with a warning. What is doubtful about a scan, such as an orientation that
    its header does not give, is logged and is in the metadata as :data:`DOUBTS`; the DICOM series that were read are
    there as :data:`SERIES`.

    Args:
        modalities: modality of each channel, as named by a task. A file ``NAME_0000`` then includes its siblings
            ``NAME_0001``, ... if all exist. Of a DICOM folder the largest series of the modality is read, and of a
            folder with CT and PET one of each. PET from DICOM is read as SUV by body weight.

    Returns:
        From a call: the image (C, x, y, z), as stored, with its affine, voxel (x, y, z) -> RAS+ mm.

    Raises:
        ValueError: if the scan cannot be read, a channel file is missing, a DICOM folder has no series of the modality
            or its slices make no regular stack, DICOM channels are of two patients or frames of reference, or a channel
            lies elsewhere than the first one. The message names the file.
        FileNotFoundError: if there is no such file.
    """

    def __init__(self, modalities: Sequence[str] = ()) -> None:
        self.modalities = tuple(modalities)

    def __call__(self, case: Any) -> MetaTensor:
        if isinstance(case, nib.spatialimages.SpatialImage):
            image = _from_nibabel(cast(nib.Nifti1Image, case), checked_affine(case))
            image.meta["filename_or_obj"] = case.get_filename() or ""
            _warn(case.get_filename() or "image", _doubts(image))
            return _as_image(image)
        if isinstance(case, (np.ndarray, torch.Tensor)):
            return _as_image(case)
        files, sources = self._sources(case)
        channels = [_read(file, source) for file, source in zip(files, sources)]
        first, doubts = channels[0], []
        for index, (file, channel) in enumerate(zip(files, channels)):
            own = _doubts(channel)
            if channel.shape[1:] != first.shape[1:] or not same_grid(channel.affine, first.affine, first.shape[1:]):
                share = _covered(first, files[0], channel, file)
                logger.warning(
                    "%s lies on another grid (size %s) than %s (size %s), of which it covers %.0f %%: resampled to it",
                    *(file, tuple(channel.shape[1:])),
                    *(files[0], tuple(first.shape[1:]), 100 * share),
                )
                if share < _USUALLY_COVERED:
                    own.append(
                        f"Channel {index + 1} covers only {share:.0%} of the first one; beyond it the voxels of its "
                        "border are repeated. See whether both show the same part of the patient."
                    )
                channels[index] = _TO_FIRST(channel, img_dst=first)
            _warn(file, own)
            doubts += own
        tensors = [channel.as_tensor() for channel in channels]
        image = MetaTensor(torch.cat(tensors) if len(tensors) > 1 else tensors[0], affine=first.affine)
        image.meta.update(_meta(image, str(files[0])) | _as_meta(doubts) | _series(sources))
        return image

    def _sources(self, case: Any) -> tuple[list[Path], list[Path | Stack]]:
        """The path of each channel, and its source: a file, or the stack of a DICOM folder."""
        files = [Path(file) for file in ([case] if isinstance(case, (str, PathLike)) else case)]
        if not files:
            raise ValueError("the case has no file: expected one per channel")
        files = self._all_channels(files)
        _refuse_gaps(files)
        kinds = [*map(dicom_modality, self.modalities), *[None] * len(files)]
        sources = [_source(file, kind) for file, kind in zip(files, kinds)]
        _refuse_strangers([(file, source) for file, source in zip(files, sources) if isinstance(source, Stack)])
        return files, sources

    def _all_channels(self, files: list[Path]) -> list[Path]:
        """Replaces a single file or folder of a case with the paths of all its channels."""
        wanted, first = len(self.modalities), files[0]
        if wanted < 2 or len(files) > 1:
            return files
        if first.is_dir() and len(set(map(dicom_modality, self.modalities))) == wanted:
            return files * wanted
        if scan_name(first)[1] != 0:
            return files
        before, _, after = first.name.rpartition("_0000")
        siblings = [first.with_name(f"{before}_{channel:04d}{after}") for channel in range(wanted)]
        return siblings if all(path.exists() for path in siblings) else files


class LoadCased(MapTransform):
    """Dictionary version of :class:`LoadCase`. Errors name the case's file.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import nibabel as nib
        >>> import numpy as np
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "ct_0000.nii.gz"
        ...     nib.save(nib.Nifti1Image(np.zeros((20, 30, 10), np.int16), np.diag([1, 1, 3, 1])), file)
        ...     case = LoadCased(keys="image", modalities=["CT"])({"image": str(file)})
        >>> tuple(case["image"].shape)  # (C, x, y, z)
        (1, 20, 30, 10)
        >>> case["image"].pixdim.tolist()  # (x, y, z) mm
        [1.0, 1.0, 3.0]

    Args:
        keys: keys of the scans.
        modalities: as for :class:`LoadCase`.
        allow_missing_keys: skip keys that a case lacks.
        tasks: the task table, which then gives the modalities of each case by its ``task``.

    Returns:
        From a call: the dictionary, with an image (C, x, y, z) under each key.
    """

    def __init__(
        self,
        keys: KeysCollection,
        modalities: Sequence[str] = (),
        allow_missing_keys: bool = False,
        tasks: TaskTable | None = None,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.modalities = modalities
        self.tasks = tasks

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        load = LoadCase(self.modalities if self.tasks is None else self.tasks.one(d["task"]).channels)
        for key in self.key_iterator(d):
            d[key] = load(d[key])
        return d


def _meta(image: MetaTensor, name: str) -> dict[str, Any]:
    return {
        "filename_or_obj": name,
        MetaKeys.ORIGINAL_AFFINE: image.affine.clone(),
        MetaKeys.SPATIAL_SHAPE: np.asarray(image.shape[1:]),
    }


def _as_meta(doubts: Sequence[str]) -> dict[str, str]:
    """The doubts as an item of an image's metadata, which data loaders pass on unchanged."""
    return {DOUBTS: "\n".join(dict.fromkeys(doubts))} if doubts else {}


def _series(sources: Sequence[Path | Stack]) -> dict[str, Any]:
    """The DICOM series of the channels as an item of an image's metadata, which data loaders pass on unchanged."""
    series = [source.series.as_record() if isinstance(source, Stack) else None for source in sources]
    return {SERIES: json.dumps(series)} if any(series) else {}


def series_record(image: MetaTensor) -> dict[str, Any]:
    """The item of a record that says which DICOM series an image was read from, per channel; empty if from none.

    A channel that was not DICOM is ``None``. See :meth:`~uniseg_nets.io.series.Series.as_record`.
    """
    return {SERIES: json.loads(image.meta[SERIES])} if SERIES in image.meta else {}


def _doubts(image: MetaTensor) -> list[str]:
    return str(image.meta.get(DOUBTS, "")).splitlines()


def _warn(name: object, doubts: Sequence[str]) -> None:
    for text in doubts:
        logger.warning("%s: %s", name, text)


def _covered(first: MetaTensor, first_file: Path, channel: MetaTensor, file: Path) -> float:
    """The share of the first channel's grid on which another channel has voxels; a very small one is refused."""
    with _named(file):
        share = covered_share(first.shape[1:], first.affine, channel.shape[1:], channel.affine)
    if share < _LEAST_COVERED:
        raise ValueError(
            f"{file} covers {share:.0%} of {first_file}: its voxels lie at {_extent(channel)}, those of the first "
            f"channel at {_extent(first)}. Channels of one case must show the same part of one patient: see whether "
            "they belong together, and register them"
        )
    return share


def _extent(image: MetaTensor) -> str:
    """Where the voxels of an image (C, x, y, z) lie, in words."""
    corners = apply_affine(image.affine.numpy(), list(product(*((0, n - 1) for n in image.shape[1:]))))
    ranges = zip("xyz", corners.min(axis=0), corners.max(axis=0))
    return f"{', '.join(f'{axis} {low:.0f} to {high:.0f}' for axis, low, high in ranges)} mm (RAS+)"


def _as_image(array: NDArray[Any] | torch.Tensor) -> MetaTensor:
    if array.ndim not in (3, 4) or 0 in array.shape:
        raise ValueError(f"image array has shape {tuple(array.shape)}, expected (x, y, z) or (channel, x, y, z)")
    loaded = MetaTensor(_as_torch_takes_it(array) if isinstance(array, np.ndarray) else array)
    if loaded.is_complex():
        raise ValueError("image array holds complex numbers, expected real ones: give their magnitude")
    image = MetaTensor(loaded.as_tensor().float().reshape((-1, *loaded.shape[-3:])), meta=loaded.meta)
    image.meta.update(_meta(image, image.meta.get("filename_or_obj", "")))
    return image


def _as_torch_takes_it(array: NDArray[Any]) -> NDArray[Any]:
    """The array, or a copy that PyTorch accepts: it refuses other byte orders, negative strides and non-numbers."""
    if array.dtype.kind not in "biufc":
        raise ValueError(f"image array is of type {array.dtype}, expected numbers")
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    return array.copy(order="K") if min(array.strides) < 0 or not array.flags.writeable else array


def _source(file: Path, modality: str | None) -> Path | Stack:
    """The source of a channel: the file itself, or the stack of the folder's series of the DICOM modality."""
    if not file.exists():
        raise FileNotFoundError(f"no file {file.absolute()}")
    with _named(file):
        return stack_of(find_series(file, modality)) if file.is_dir() else file


def _read(file: Path, source: Path | Stack) -> MetaTensor:
    """One channel file or DICOM stack -> (C, x, y, z)."""
    with _named(file):
        if isinstance(source, Stack):
            return _channel_first(read_stack(source), source.affine)
        if file.name.lower().endswith(NIFTI_ENDINGS):
            return _from_nibabel(*open_nifti(file))  # not ITK, which refuses the sheared affines that some tools write
        if not file.name.lower().endswith(SCAN_ENDINGS):
            raise ValueError(
                f"unknown kind of file; scans are {', '.join(SCAN_ENDINGS)} or a folder with a DICOM series"
            )
        return _channel_first(*read_itk(file))


@contextmanager
def _named(file: Path) -> Iterator[None]:
    """Adds the name of the file to errors."""
    try:
        yield
    except Exception as error:  # a damaged file can raise any error
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        told = isinstance(error, (ValueError, PermissionError))
        remedy = "" if told else "; if the file is damaged, copy or export it again"
        raise ValueError(f"cannot read {file} as a scan: {reason}{remedy}") from error


def _refuse_strangers(stacks: Sequence[tuple[Path, Stack]]) -> None:
    """Refuses stacks of two patients or of two frames of reference, whose positions cannot be compared."""
    for file, stack in stacks[1:]:
        for keyword in ("PatientID", "FrameOfReferenceUID"):
            own, first = stack.says(keyword), stacks[0][1].says(keyword)
            if own and first and own != first:
                raise ValueError(
                    f"{stacks[0][0]} ({stacks[0][1].series}) and {file} ({stack.series}) differ in {keyword}: channels "
                    "of one case must share one space; register them and save them as NIfTI"
                )


def _from_nibabel(scan: nib.Nifti1Image, affine: NDArray[np.float64]) -> MetaTensor:
    array = read_voxels(scan)
    while array.ndim > 4 and 1 in array.shape[3:]:  # vector images: (x, y, z, 1, channel)
        array = array.squeeze(3 + array.shape[3:].index(1))
    return _channel_first(array, affine, orientation_doubts(scan))


def _channel_first(array: NDArray[np.float32], affine: Any, doubts: Sequence[str] = ()) -> MetaTensor:
    """(x, y), (x, y, z) or (x, y, z, C) -> (C, x, y, z)."""
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim not in (3, 4):
        raise ValueError(f"size {array.shape}, expected (x, y, z) or (x, y, z, channel)")
    array = array[None] if array.ndim == 3 else np.moveaxis(array, -1, 0)
    # Not made contiguous: x is the fastest axis of NIfTI, which is the order (z, y, x) of preprocessing.
    affine = torch.as_tensor(np.array(affine), dtype=torch.float64)
    return MetaTensor(torch.from_numpy(array), affine=affine, meta=_as_meta(doubts))


def _refuse_gaps(files: Sequence[Path]) -> None:
    numbers = [scan_name(file)[1] for file in files]
    if len({(file.parent, scan_name(file)[0]) for file in files}) > 1:
        return  # files of several names or folders: their numbers count cases
    if len(files) > 1 and None not in numbers and numbers != list(range(len(files))):
        missing = sorted(set(range(max(n for n in numbers if n is not None) + 1)) - set(numbers))
        raise ValueError(
            f"channel files of case {scan_name(files[0])[0]!r} are not _0000, _0001, ... without a gap: "
            f"got {', '.join(file.name for file in files)}"
            + (f"; missing {', '.join(f'_{n:04d}' for n in missing)}" if missing else "")
        )
