"""A mask in files: PNG of the image's own size, and a picture of it over the image."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from monai.visualize import blend_images
from numpy.typing import NDArray
from PIL import Image

from uniseg_nets.files import atomic_path, write_json
from uniseg_nets.pictures.load import read_picture
from uniseg_nets.transforms.result import ResultSaver

__all__ = ["SavePictured"]

logger = logging.getLogger(__name__)


class SavePictured(ResultSaver):
    """Writes ``OUTPUT_DIR/NAME_mask.png`` (0 and 255), ``NAME_overlay.png`` and ``NAME.json``, in this order.

    Takes masks (1, H, W) of 0 and 1 at the image's own size.

    Args:
        keys, output_dir, name_key, weights, about: see :class:`~uniseg_nets.transforms.result.ResultSaver`.

    Raises:
        ValueError: the result would overwrite the image it was made from.
    """

    def facts(self, case: Mapping[Any, Any]) -> dict[str, Any]:
        asked = case.get("asked", case.get("modality"))
        return {**({} if asked is None else {"asked": asked}), **super().facts(case)}

    def targets(self, case: Mapping[Any, Any]) -> tuple[Path, Path]:
        name = case[self.name_key]
        return self.output_dir / f"{name}_mask.png", self.output_dir / f"{name}.json"

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        for key in self.key_iterator(d):
            source = Path(d["image"].meta["filename_or_obj"])
            target, beside = self.targets(d)
            self.refuse_overwriting(source, target)
            mask = np.asarray(d[key], dtype=np.uint8)
            _write_png(target, mask[0] * 255)
            layer = mask.astype(np.float32)
            blended = blend_images(read_picture(source), layer, alpha=0.4, cmap="autumn", rescale_arrays=False)
            _write_png(target.with_name(f"{d[self.name_key]}_overlay.png"), _bytes(np.asarray(blended)))
            found = {"modality": d["modality"]}
            if "confidence" in d:
                found["confidence"] = round(float(d["confidence"]), 4)
            write_json(beside, {"mask": target.name, "image": source.name, **found, **self.facts(d)})
            logger.info("wrote %s", target)
        return d


def _bytes(image: NDArray[Any]) -> NDArray[np.uint8]:
    """(3, H, W) from 0 to 1 -> (H, W, 3)."""
    return (np.clip(image, 0, 1) * 255).round().astype(np.uint8).transpose(1, 2, 0)


def _write_png(path: Path, array: NDArray[np.uint8]) -> None:
    with atomic_path(path) as temporary:
        Image.fromarray(array).save(temporary)
