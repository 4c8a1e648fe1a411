"""Results in files: which cases are finished, and what a result says of how it was made."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import monai
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, SaveImaged

import uniseg_nets
from uniseg_nets.files import sha256_of

__all__ = ["ResultSaver"]

logger = logging.getLogger(__name__)


class ResultSaver(SaveImaged):
    """What writes each case's result, and beside it a JSON which, written last, marks the case as finished.

    It is a ``SaveImaged`` because servers that write results themselves look for that and leave it out. Subclasses
    say where a case's files lie (:meth:`targets`) and write them.

    Args:
        keys: the result's key.
        output_dir: folder for the results.
        name_key: key of the case's name.
        weights: the network's weights, or several networks'; their hash stands in the JSON.
        about: more facts for the JSON, such as the inferer's settings.
    """

    def __init__(
        self,
        keys: KeysCollection,
        output_dir: str | PathLike[str],
        name_key: str = "name",
        weights: str | PathLike[str] | Sequence[str] | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        MapTransform.__init__(self, keys)
        self.output_dir = Path(output_dir)
        self.name_key = name_key
        self.about = dict(about or {})
        self.weights = weights

    @cached_property
    def _weights_sha256(self) -> str | list[str] | None:
        if self.weights is None or isinstance(self.weights, (str, PathLike)):
            return None if self.weights is None else sha256_of(self.weights)
        return [sha256_of(file) for file in self.weights]

    def facts(self, case: Mapping[Any, Any]) -> dict[str, Any]:
        """What the JSON beside a case's result says of how it was made; of no case, what holds for the whole run."""
        return {
            **self.about,
            "weights_sha256": self._weights_sha256,
            "versions": {
                "uniseg_nets": uniseg_nets.__version__,
                "monai": monai.__version__,
                "torch": torch.__version__,
            },
        }

    def targets(self, case: Mapping[Any, Any]) -> tuple[Path, Path]:
        """The result's file and the JSON beside it."""
        raise NotImplementedError

    def unfinished(self, cases: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The cases without a result of the same task, weights and settings that is newer than their images."""
        left = [case for case in cases if not self._is_finished(case)]
        if len(left) < len(cases):
            logger.info("%d of %d cases are finished already and skipped", len(cases) - len(left), len(cases))
        return left

    def _is_finished(self, case: Mapping[str, Any]) -> bool:
        target, beside = self.targets(case)
        if not (target.is_file() and beside.is_file()):
            return False
        try:
            written = json.loads(beside.read_text(encoding="utf-8"))
        except ValueError:
            return False
        if any(written.get(key) != value for key, value in self.facts(case).items()):
            return False
        images = [case["image"]] if isinstance(case["image"], str) else case["image"]
        files = [path for image in images for path in (Path(image), *Path(image).glob("*"))]
        return all(path.stat().st_mtime <= beside.stat().st_mtime for path in files if path.exists())

    @staticmethod
    def refuse_overwriting(source: Path, target: Path) -> None:
        """Raises ValueError where the result would take the place of the image it was made from."""
        if target.exists() and source.exists() and target.samefile(source):
            raise ValueError(f"result {target} would overwrite its own image: choose another output folder")
