"""Writes a DICOM Segmentation beside the label map of a DICOM case."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from uniseg_nets.io.provenance import dicom_mark, marked
from uniseg_nets.io.series import dicom_modality, dicom_series
from uniseg_nets.transforms.derived import CaseExport
from uniseg_nets.transforms.export import SaveLabelMapd, read_label_map

__all__ = ["SaveDicomSegd"]

logger = logging.getLogger(__name__)


class SaveDicomSegd(CaseExport):
    """Writes ``OUTPUT_DIR/NAME.dcm`` beside the saved label map of a DICOM case, with highdicom.

    A label map without foreground gets none, with a warning: the object would have no frame.

    Args:
        saver, cases: see :class:`~uniseg_nets.transforms.derived.CaseExport`.
        modalities: modalities of the task's channels. The object refers to the series of the first one.

    Raises:
        ImportError: if highdicom is not installed; the message says how to install it.
        ValueError: if scans lack identifiers that the object must refer to. They are named before any work is done.
    """

    what = "DICOM Segmentation"

    def __init__(self, saver: SaveLabelMapd, cases: list[dict[str, Any]], modalities: Sequence[str]) -> None:
        try:
            from uniseg_nets.dicom.segmentation import missing_identifiers, write_dicom_seg
        except ImportError as error:
            raise ImportError("DICOM Segmentations need highdicom: `pip install highdicom`") from error
        super().__init__(saver, [case for case in cases if _source(case).is_dir()])
        self._write = write_dicom_seg
        self.modality = dicom_modality(modalities[0])
        others = [case["name"] for case in cases if case["name"] not in self.cases]
        if others:
            logger.warning("%d cases did not come as DICOM, such as %s: no Segmentation object", len(others), others[0])
        lacking = [fault for case in self.cases.values() if (fault := missing_identifiers(_source(case)))]
        if lacking:
            raise ValueError(
                f"{len(lacking)} of {len(cases)} cases cannot get a DICOM Segmentation, it could not refer to their "
                f"series: {'; '.join(lacking[:3])}: leave out --dicom_seg, or restore the identifiers"
            )

    def __call__(self, data: Mapping[Any, Any]) -> Mapping[Any, Any]:
        return super().__call__(data) if data[self.saver.name_key] in self.cases else data

    def made_of(self, name: str) -> str | None:
        return dicom_mark(self._target(name))

    def make(self, case: Mapping[str, Any], fingerprint: str) -> None:
        target = self._target(case["name"])
        self.refuse_others(target, case["name"])
        label, names, _ = read_label_map(self.saver.output_dir, case["name"])
        if not bool(label.any()):
            logger.warning("%s: the label map has no foreground, so there is no Segmentation object", case["name"])
            return
        series = dicom_series(_source(case), self.modality)
        segments = self._write(label[0].numpy(), label.affine.numpy(), series, names, target, marked(fingerprint))
        logger.info("wrote %s: %s", target, ", ".join(segments))

    def _target(self, name: str) -> Path:
        return self.saver.output_dir / f"{name}.dcm"


def _source(case: Mapping[str, Any]) -> Path:
    """The path of a case's first channel."""
    image = case["image"]
    return Path(image if isinstance(image, str) else image[0])
