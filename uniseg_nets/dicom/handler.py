"""Beside every label map of a DICOM case its Segmentation object."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ignite.engine import Events

from uniseg_nets.data.guarded import root_cause
from uniseg_nets.engines import CaseEvaluator
from uniseg_nets.transforms.export import SaveLabelMapd, read_label_map
from uniseg_nets.transforms.load import dicom_modality, dicom_series

__all__ = ["DicomSegmentations"]

logger = logging.getLogger(__name__)


class DicomSegmentations:
    """After each case that came as DICOM writes ``OUTPUT_DIR/NAME.dcm``; needs highdicom.

    Args:
        saver: what writes the label maps.
        cases: the run's cases, each with ``name`` and ``image``.
        modalities: of the task's channels; the object refers to the series of the first.

    Raises:
        ImportError: no highdicom; says how to get it.
    """

    def __init__(self, saver: SaveLabelMapd, cases: list[dict[str, Any]], modalities: Sequence[str]) -> None:
        try:
            from uniseg_nets.dicom.segmentation import write_dicom_seg
        except ImportError as error:
            raise ImportError("DICOM Segmentations need highdicom: `pip install 'uniseg-nets[dicom]'`") from error
        self._write = write_dicom_seg
        self.saver = saver
        self.images = {case["name"]: case["image"] for case in cases}
        self.modality = dicom_modality(modalities[0])

    def attach(self, engine: CaseEvaluator) -> None:
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: CaseEvaluator) -> None:
        name = engine.case
        if name in engine.failures:
            return
        image = self.images[name]
        source = Path(image if isinstance(image, str) else image[0])
        if not source.is_dir():
            logger.warning("%s did not come as DICOM: no Segmentation object", name)
            return
        target = self.saver.output_dir / f"{name}.dcm"
        try:
            label, names, _ = read_label_map(self.saver.output_dir, name)
            series = dicom_series(source, self.modality)
            found = self._write(label[0].numpy(), label.affine.numpy(), series, names, target)
            logger.info("wrote %s: %s", target, ", ".join(found))
        except Exception as error:  # what is wrong with a DICOM file shows anywhere; the label map is there already
            logger.error("no Segmentation object of %s: %s", name, root_cause(error))
