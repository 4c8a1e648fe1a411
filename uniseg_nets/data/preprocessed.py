"""Preprocessing done once and kept on disk.

The one rule: a result is found again only if the case's files, the transforms and the task table are what they were.
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
from uniseg_nets.transforms.patch import FORCE_FOREGROUND
from uniseg_nets.version import __version__

__all__ = ["PreprocessedDataset"]

logger = logging.getLogger(__name__)

# Where a case comes from and how cases are divided: some have it, others not, and a batch needs the same items of all.
_NOT_FOR_BATCHES = ("source", "folder", "group", "fold")


class PreprocessedDataset(Dataset):
    """Deterministic transforms from disk where they have run before, then random ones on what they gave.

    Not MONAI's ``PersistentDataset``: results are memory-mapped, so that a crop reads its own part of a volume and
    thousands of cases cost no memory; they are keyed by all of a case's files (:mod:`uniseg_nets.io.provenance`) and by
    the values inside the transforms, and appear whole or not at all. Indexed by a
    :class:`~uniseg_nets.data.sampler.Sample`, the random transforms start from its seed and are told by
    ``force_foreground`` whether the patch is placed on foreground.

    Args:
        data: the datalist; of a case's items ``source``, ``folder``, ``group`` and ``fold`` are left out.
        preprocessing: deterministic transforms, such as :class:`~uniseg_nets.transforms.PreprocessCased`.
        augmentation: random transforms.
        cache_dir: where results are kept.
        task: given to cases that name none, such as those that an annotation server submits; a list, a menu of which
            nothing was chosen, gives none.

    Raises:
        ValueError: from an item, a case that cannot be preprocessed; names the case.
    """

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        preprocessing: Sequence[Transform],
        augmentation: Sequence[Transform] = (),
        cache_dir: str | PathLike[str] = "cache",
        task: str | int | Sequence[str] | None = None,
    ) -> None:
        data = [{key: value for key, value in case.items() if key not in _NOT_FOR_BATCHES} for case in data]
        super().__init__(with_task(data, task), Compose(list(augmentation)))
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
        """What the deterministic transforms add to a case, from disk or made now; tensors are memory-mapped."""
        case = self.data[index]
        path = self.cache_dir / f"{self._digest(case)}.pt"
        if not path.is_file():
            self._preprocess(case, path)
        try:
            return dict(torch.load(path, mmap=True, weights_only=True))
        except Exception as error:  # a damaged file makes the reader stumble in any way
            logger.warning("%s is damaged (%s): preprocessing its case anew", path, root_cause(error))
        self._preprocess(case, path)
        return dict(torch.load(path, mmap=True, weights_only=True))

    def fill(self) -> None:
        """Preprocesses every case that is not on disk yet, so that no epoch waits for it."""
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
            torch.save({key: value for key, value in done.items() if value is not case.get(key)}, temporary)
