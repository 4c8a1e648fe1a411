"""A disk cache of preprocessed cases.

The one rule: a cached result is used only if the case's files, the transforms and the task table are unchanged.
"""

from __future__ import annotations

import hashlib
import logging
import pickle
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from monai.data import Dataset
from monai.transforms import Compose, Transform
from monai.utils.enums import CommonKeys
from tqdm import tqdm

from uniseg_nets.data.datalist import with_task
from uniseg_nets.data.sampler import Sample
from uniseg_nets.io.errors import root_cause
from uniseg_nets.io.files import atomic_path
from uniseg_nets.io.provenance import scan_identity
from uniseg_nets.io.torch_files import save_torch
from uniseg_nets.transforms.patch import FORCE_FOREGROUND
from uniseg_nets.version import __version__

__all__ = ["PreprocessedDataset"]

logger = logging.getLogger(__name__)

# Items that only some cases have: a batch needs the same items in all cases.
_NOT_FOR_BATCHES = ("source", "folder", "group", "fold")


class PreprocessedDataset(Dataset):
    """Deterministic transforms, cached on disk, followed by random ones.

    Not MONAI's ``PersistentDataset``: results are memory-mapped, so that a crop reads only its own part of a volume and
    thousands of cases need no memory. The key covers all files of a case (:mod:`uniseg_nets.io.provenance`) and the
    values inside the transforms. A cache file is written whole or not at all. Indexed by a
    :class:`~uniseg_nets.data.sampler.Sample`, the random transforms use its seed, and ``force_foreground`` says whether
    the patch is placed on foreground.

    Args:
        data: the datalist. The items ``source``, ``folder``, ``group`` and ``fold`` of a case are left out.
        preprocessing: deterministic transforms, such as :class:`~uniseg_nets.transforms.PreprocessCased`.
        augmentation: random transforms.
        cache_dir: folder of the cache.
        task, menu: the tasks to use, also that of cases that name none, such as cases from an annotation server; see
            :func:`~uniseg_nets.data.with_task`.

    Raises:
        ValueError: if no case has the task; from indexing, if a case cannot be preprocessed. The message names the
            case.
    """

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        preprocessing: Sequence[Transform],
        augmentation: Sequence[Transform] = (),
        cache_dir: str | PathLike[str] = "cache",
        task: str | int | Sequence[str] | None = None,
        menu: Sequence[str] | str | None = None,
    ) -> None:
        data = [{key: value for key, value in case.items() if key not in _NOT_FOR_BATCHES} for case in data]
        super().__init__(with_task(data, task, menu), Compose(list(augmentation)))
        self.preprocessing = Compose(list(preprocessing))
        self.cache_dir = Path(cache_dir).absolute()
        described = [(type(transform).__name__, vars(transform)) for transform in preprocessing]
        self._key = pickle.dumps((__version__, described))

    def _transform(self, index: int) -> Any:
        case = {**self.data[index], **self.preprocessed(index)}
        if isinstance(index, Sample):
            self.transform.set_random_state(index.seed)
            case[FORCE_FOREGROUND] = index.foreground
        return self.transform(case)

    def preprocessed(self, index: int) -> dict[str, Any]:
        """The items that the deterministic transforms add to a case, cached or computed; tensors are memory-mapped."""
        case = self.data[index]
        path = self.cache_dir / f"{self._digest(case)}.pt"
        if not path.is_file():
            self._preprocess(case, path)
        try:
            return dict(torch.load(path, mmap=True, weights_only=True))
        except Exception as error:  # a damaged file can raise any error
            logger.warning("%s is damaged (%s): preprocessing its case again", path, root_cause(error))
        self._preprocess(case, path)
        return dict(torch.load(path, mmap=True, weights_only=True))

    def fill(self) -> None:
        """Preprocesses every case that is not cached yet, so that no epoch waits for it."""
        for index in tqdm(range(len(self)), desc="preprocessing", disable=None):
            self.preprocessed(index)

    def _digest(self, case: Mapping[str, Any]) -> str:
        digest = hashlib.sha256(self._key)
        for key in sorted(case):
            digest.update(f"{key}={case[key]!r}\n".encode())
            if key in (CommonKeys.IMAGE, CommonKeys.LABEL):
                digest.update(repr(scan_identity(case[key])).encode())
        return digest.hexdigest()[:32]

    def _preprocess(self, case: Mapping[str, Any], path: Path) -> None:
        try:
            done: dict[str, Any] = self.preprocessing(dict(case))
        except Exception as error:
            raise ValueError(f"case {case.get('name') or case[CommonKeys.IMAGE]}: {root_cause(error)}") from error
        with atomic_path(path) as temporary:
            save_torch({key: value for key, value in done.items() if value is not case.get(key)}, temporary, path)
