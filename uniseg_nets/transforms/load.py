"""From a case on disk to one multi-channel image.

Not MONAI's ``LoadImaged``: a case may be one file, several files (one a channel, perhaps on different grids) or a
folder with a DICOM series, and MONAI Label replaces every ``LoadImaged`` by a loader that takes a single file.
"""

from __future__ import annotations

import logging
import re
import zlib
from collections.abc import Callable, Hashable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, cast

import itk
import nibabel as nib
import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import ITKReader, MetaTensor
from monai.transforms import MapTransform, ResampleToMatch
from monai.utils.enums import MetaKeys
from nibabel.filebasedimages import ImageFileError
from numpy.typing import NDArray

__all__ = ["SCAN_ENDINGS", "LoadCase", "LoadCased", "dicom_modality", "dicom_series", "scan_name", "scan_stem"]

logger = logging.getLogger(__name__)

SCAN_ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")
_CHANNEL = re.compile(r"_(\d{4})$")
# Two headers of one scan may differ by rounding: in mm, and in voxels' directions.
_SAME_GRID = 1e-3


def scan_name(path: str | PathLike[str]) -> tuple[str, int | None]:
    """A scan's case name and, where its name ends in ``_0000`` and the like, its channel."""
    name = scan_stem(path)
    found = _CHANNEL.search(name)
    return (name[: found.start()], int(found[1])) if found else (name, None)


def scan_stem(path: str | PathLike[str]) -> str:
    """A scan's name without its ending, a channel's number included."""
    name = Path(path).name
    ending = next((ending for ending in SCAN_ENDINGS if name.lower().endswith(ending)), "")
    return name[: len(name) - len(ending)]


class LoadCase:
    """Loads one case as a float32 :class:`~monai.data.MetaTensor` (C, x, y, z), as stored, affine to RAS+ mm.

    Takes NIfTI, NRRD, MHA / MHD, a folder with a DICOM series, a list of such (one a channel), a nibabel image, or an
    array or tensor (x, y, z) or (C, x, y, z) that is loaded already. A fourth axis of a file is its channels. Channels
    on another grid than the first are resampled to it, with a warning.

    Args:
        modalities: what the channels are, as a task names them. A file ``NAME_0000`` then stands for its siblings
            ``NAME_0001``, ... too, where all are there; of a DICOM folder with several series the one of the right
            modality is taken, for CT and PET in one folder one each.

    Raises:
        ValueError: no readable scan; a gap in the channel files; the message names the file.
        FileNotFoundError: no such file.
    """

    def __init__(self, modalities: Sequence[str] = ()) -> None:
        self.modalities = tuple(modalities)

    def __call__(self, case: Any) -> MetaTensor:
        if isinstance(case, nib.spatialimages.SpatialImage):
            image = _from_nibabel(case)
            image.meta["filename_or_obj"] = case.get_filename() or ""
            return _as_image(image)
        if isinstance(case, (np.ndarray, torch.Tensor)):
            return _as_image(case)
        files = [Path(file) for file in ([case] if isinstance(case, (str, PathLike)) else case)]
        if not files:
            raise ValueError("a case without any file")
        files = self._all_channels(files)
        _refuse_gaps(files)
        kinds = [*map(dicom_modality, self.modalities), *[None] * len(files)]
        channels = [_read(file, kind) for file, kind in zip(files, kinds)]
        first = channels[0]
        to_first: Callable[..., Any] = ResampleToMatch(mode="bilinear", padding_mode="border")
        for index, channel in enumerate(channels[1:], start=1):
            if not _same_grid(first, channel):
                logger.warning(
                    "%s lies on another grid (size %s) than %s (size %s): resampled to the latter",
                    files[index],
                    tuple(channel.shape[1:]),
                    files[0],
                    tuple(first.shape[1:]),
                )
                channels[index] = to_first(channel, img_dst=first)
        tensors = [channel.as_tensor() for channel in channels]
        image = MetaTensor(torch.cat(tensors) if len(tensors) > 1 else tensors[0], affine=first.affine)
        image.meta.update(_meta(image, str(files[0])))
        return image

    def _all_channels(self, files: list[Path]) -> list[Path]:
        """One file or folder that stands for all channels of its case becomes all of them."""
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
    """Dictionary version of :class:`LoadCase`; errors name the case's file."""

    def __init__(self, keys: KeysCollection, modalities: Sequence[str] = (), allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.load = LoadCase(modalities)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        for key in self.key_iterator(d):
            d[key] = self.load(d[key])
        return d


def _meta(image: MetaTensor, name: str) -> dict[str, Any]:
    return {
        "filename_or_obj": name,
        MetaKeys.ORIGINAL_AFFINE: image.affine.clone(),
        MetaKeys.SPATIAL_SHAPE: np.asarray(image.shape[1:]),
    }


def _as_image(array: NDArray[Any] | torch.Tensor) -> MetaTensor:
    if array.ndim not in (3, 4):
        raise ValueError(f"image array has shape {tuple(array.shape)}, expected (x, y, z) or (channel, x, y, z)")
    loaded = MetaTensor(array)
    image = MetaTensor(loaded.as_tensor().float().reshape((-1, *loaded.shape[-3:])), meta=loaded.meta)
    image.meta.update(_meta(image, image.meta.get("filename_or_obj", "")))
    return image


def _read(file: Path, modality: str | None) -> MetaTensor:
    """One file or DICOM folder -> (C, x, y, z); of a folder's series one of the DICOM modality, where that is given."""
    if not file.exists():
        raise FileNotFoundError(f"no file {file}")
    try:
        if file.name.lower().endswith((".nii", ".nii.gz")):
            return _read_nifti(file)
        return _read_itk(file, modality)
    except (OSError, EOFError, RuntimeError, ValueError, zlib.error, ImageFileError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        raise ValueError(f"cannot read {file} as a scan: {reason}") from error


def _read_nifti(file: Path) -> MetaTensor:
    # nibabel and not ITK: ITK refuses the slightly skewed affines that some tools write.
    return _from_nibabel(cast(nib.Nifti1Image, nib.load(file)))


def _from_nibabel(scan: Any) -> MetaTensor:
    array = np.asarray(scan.dataobj, dtype=np.float32)
    while array.ndim > 4 and 1 in array.shape[3:]:  # vector images: (x, y, z, 1, channel)
        array = array.squeeze(3 + array.shape[3:].index(1))
    return _channel_first(array, scan.affine)


def _read_itk(file: Path, modality: str | None) -> MetaTensor:
    files: str | list[str] = str(file)
    if file.is_dir():
        files = dicom_series(file, modality)
    elif not file.name.lower().endswith(SCAN_ENDINGS):
        raise ValueError(f"unknown kind of file; scans are {', '.join(SCAN_ENDINGS)} or a folder with a DICOM series")
    array, meta = ITKReader().get_data(itk.imread(files))
    return _channel_first(np.array(array, dtype=np.float32), meta[MetaKeys.AFFINE])  # a copy: ITK owns the original


def _channel_first(array: NDArray[np.float32], affine: Any) -> MetaTensor:
    """(x, y), (x, y, z) or (x, y, z, C) -> (C, x, y, z)."""
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim not in (3, 4):
        raise ValueError(f"size {array.shape}, expected (x, y, z) or (x, y, z, channel)")
    array = array[None] if array.ndim == 3 else np.moveaxis(array, -1, 0)
    # As it lies in memory: NIfTI's x runs fastest, which is the order (z, y, x) that preprocessing wants.
    return MetaTensor(torch.from_numpy(array), affine=torch.as_tensor(np.array(affine), dtype=torch.float64))


def dicom_modality(name: str) -> str:
    """DICOM's word for a channel's modality: CT, PT for PET; anything else is a kind of MR."""
    return {"CT": "CT", "PET": "PT"}.get(name.upper(), "MR")


def dicom_series(folder: Path, modality: str | None = None) -> list[str]:
    """The slices of a DICOM folder's largest series, in the order of their position.

    Args:
        folder: the folder.
        modality: DICOM's word (CT, PT, MR): where series of it are there, one of them is taken.

    Raises:
        ValueError: no series.
    """
    names = itk.GDCMSeriesFileNames.New()
    names.SetUseSeriesDetails(True)
    names.SetDirectory(str(folder))
    series = [list(names.GetFileNames(uid)) for uid in names.GetSeriesUIDs()]
    if not series:
        raise ValueError("folder without a DICOM series")
    if len(series) == 1:
        return series[0]
    told = [(_dicom_tag(files[0], "0008|0060"), _dicom_tag(files[0], "0008|103e"), files) for files in series]
    fitting = [entry for entry in told if entry[0] == modality] or told
    kind, description, largest = max(fitting, key=lambda entry: len(entry[2]))
    listing = ", ".join(f"{kind} {text!r} of {len(files)} slices" for kind, text, files in told)
    logger.warning("%s has %d DICOM series (%s): took %s %r", folder, len(series), listing, kind, description)
    return largest


def _dicom_tag(file: str, tag: str) -> str:
    reader = itk.GDCMImageIO.New()
    reader.SetFileName(file)
    reader.ReadImageInformation()
    dictionary = reader.GetMetaDataDictionary()
    return str(dictionary[tag]).strip() if dictionary.HasKey(tag) else ""


def _same_grid(first: MetaTensor, other: MetaTensor) -> bool:
    return first.shape[1:] == other.shape[1:] and torch.allclose(first.affine, other.affine, atol=_SAME_GRID)


def _refuse_gaps(files: Sequence[Path]) -> None:
    numbers = [scan_name(file)[1] for file in files]
    if len(files) > 1 and None not in numbers and numbers != list(range(len(files))):
        missing = sorted(set(range(max(n for n in numbers if n is not None) + 1)) - set(numbers))
        raise ValueError(
            f"channel files of case {scan_name(files[0])[0]!r} are not _0000, _0001, ... without a gap: "
            f"got {', '.join(file.name for file in files)}"
            + (f"; missing {', '.join(f'_{n:04d}' for n in missing)}" if missing else "")
        )
