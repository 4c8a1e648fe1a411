"""Beside every label map of a DICOM case its Segmentation object."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.transforms import Transform

from uniseg_nets.errors import root_cause
from uniseg_nets.series import dicom_modality, dicom_series
from uniseg_nets.transforms.export import SaveLabelMapd, read_label_map

__all__ = ["SaveDicomSegd"]

logger = logging.getLogger(__name__)


class SaveDicomSegd(Transform):
    """Writes ``OUTPUT_DIR/NAME.dcm`` beside the saved label map of a case that came as DICOM; needs highdicom.

    A case of which no object can be made is logged; its label map stays.

    Args:
        saver: what wrote the label map.
        cases: the run's cases, each with ``name`` and ``image``.
        modalities: of the task's channels; the object refers to the series of the first.

    Raises:
        ImportError: no highdicom; says how to get it.
    """

    def __init__(self, saver: SaveLabelMapd, cases: list[dict[str, Any]], modalities: Sequence[str]) -> None:
        try:
            from uniseg_nets.dicom.segmentation import write_dicom_seg
        except ImportError as error:
            raise ImportError("DICOM Segmentations need highdicom: `pip install highdicom`") from error
        self._write = write_dicom_seg
        self.saver = saver
        self.images = {case["name"]: case["image"] for case in cases}
        self.modality = dicom_modality(modalities[0])

    def __call__(self, data: Mapping[Hashable, Any]) -> Mapping[Hashable, Any]:
        name = data[self.saver.name_key]
        image = self.images[name]
        source = Path(image if isinstance(image, str) else image[0])
        if not source.is_dir():
            logger.warning("%s did not come as DICOM: no Segmentation object", name)
            return data
        target = self.saver.output_dir / f"{name}.dcm"
        try:
            label, names, _ = read_label_map(self.saver.output_dir, name)
            series = dicom_series(source, self.modality)
            found = self._write(label[0].numpy(), label.affine.numpy(), series, names, target)
            logger.info("wrote %s: %s", target, ", ".join(found))
        except Exception as error:  # what is wrong with a DICOM file shows anywhere; the label map is there already
            logger.error("no Segmentation object of %s: %s", name, root_cause(error))
        return data
