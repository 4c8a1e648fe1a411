"""Writes a mask as PNG at the image's own size, and an overlay of it on the image."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from uniseg_nets.image2d.load import read_picture
from uniseg_nets.quality.verdict import Reason, Verdict
from uniseg_nets.results.overlay import with_overlay
from uniseg_nets.transforms.result import VERDICT, ResultSaver

__all__ = ["SavePictured"]

logger = logging.getLogger(__name__)

_EMPTY = Verdict((Reason("after", "Nothing was found: the mask is empty."),))


class SavePictured(ResultSaver):
    """Writes ``OUTPUT_DIR/NAME_mask.png`` (0 and 255), ``NAME_overlay.png`` and last ``NAME.json``.

    Takes masks (1, H, W) with values 0 and 1 at the image's own size. An empty mask gets the verdict ``check``, in the
    record, in the log and as the case's ``verdict``; other masks get none, since nothing else is checked.

    Args:
        keys, output_dir, name_key, weights, metadata: see :class:`~uniseg_nets.transforms.result.ResultSaver`.

    Raises:
        ValueError: if the result would overwrite its image.
    """

    def provenance(self, case: Mapping[Any, Any]) -> dict[str, Any]:
        requested = case.get("requested_modality", case.get("modality"))
        return {**({} if requested is None else {"requested_modality": requested}), **super().provenance(case)}

    def targets(self, case: Mapping[Any, Any]) -> tuple[Path, ...]:
        name = case[self.name_key]
        return tuple(self.output_dir / f"{name}{ending}" for ending in ("_mask.png", ".json", "_overlay.png"))

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        for key in self.key_iterator(d):
            source = str(d["image"].meta["filename_or_obj"])
            mask = np.asarray(d[key], dtype=np.uint8)
            details = {"mask": self.targets(d)[0].name, "modality": d["modality"]}
            if "confidence" in d:
                details["confidence"] = round(float(d["confidence"]), 4)
            if not mask.any():
                d[VERDICT] = _EMPTY
                details |= _EMPTY.as_record()
                logger.warning("%s: %s", d[self.name_key], _EMPTY)
            self.write(d, source, details, partial(_write, mask, source))
        return d


def _write(mask: NDArray[np.uint8], source: str, target: Path, overlay: Path) -> None:
    """Writes a mask (1, H, W) and the overlay on its image."""
    Image.fromarray(mask[0] * 255).save(target)
    colours = with_overlay(read_picture(source).transpose(1, 2, 0), mask[0], [1])
    Image.fromarray(colours).save(overlay)
