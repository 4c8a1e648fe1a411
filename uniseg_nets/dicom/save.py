"""Writes DICOM objects beside the label map of a DICOM case: Segmentation, structure set, measurements."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from uniseg_nets.io.errors import not_installed
from uniseg_nets.io.names import REPORT_ENDING, STRUCTURES_ENDING
from uniseg_nets.io.provenance import dicom_mark, marked
from uniseg_nets.io.series import dicom_modality, dicom_series
from uniseg_nets.transforms.derived import CaseExport
from uniseg_nets.transforms.export import SaveLabelMapd, read_label_map

__all__ = ["DicomExport", "SaveDicomSegd", "SaveDicomSrd", "SaveRtStructd"]

logger = logging.getLogger(__name__)


class DicomExport(CaseExport):
    """Writes one DICOM object beside the saved label map of a DICOM case; needs highdicom.

    A label map without foreground gets none, with a warning.

    Args:
        saver, cases: see :class:`~uniseg_nets.transforms.derived.CaseExport`.
        modalities: modalities of the task's channels. The object refers to the series of the first one.

    Raises:
        NotInstalledError: if highdicom is not installed; the message says how to install it.
        ValueError: if scans lack identifiers that the object must refer to. They are named before any work is done.
    """

    what = "DICOM object"
    switch = ""
    ending = ""

    def __init__(self, saver: SaveLabelMapd, cases: list[dict[str, Any]], modalities: Sequence[str]) -> None:
        try:
            from uniseg_nets.dicom.slices import missing_identifiers

            self._write = self._loaded()
        except ImportError as error:
            raise not_installed(f"a {self.what}", "highdicom", "contourpy") from error
        super().__init__(saver, [case for case in cases if _source(case).is_dir()])
        self.modality = dicom_modality(modalities[0])
        others = [case["name"] for case in cases if case["name"] not in self.cases]
        if others:
            logger.warning("%d cases did not come as DICOM, such as %s: no %s", len(others), others[0], self.what)
        folders = [_source(case) for case in self.cases.values()]
        faults = [missing_identifiers(folder, self.modality) for folder in folders]
        lacking = [fault for fault in faults if fault]
        if lacking:
            raise ValueError(
                f"{len(lacking)} of {len(cases)} cases cannot get the {self.what}, it could not refer to their series: "
                f"{'; '.join(lacking[:3])}: leave out --{self.switch}, or restore the identifiers"
            )

    def __call__(self, data: Mapping[Any, Any]) -> Mapping[Any, Any]:
        return super().__call__(data) if data[self.saver.name_key] in self.cases else data

    def made_of(self, name: str) -> str | None:
        return dicom_mark(self._target(name))

    def make(self, case: Mapping[str, Any], fingerprint: str) -> None:
        target = self._target(case["name"])
        self.refuse_others(target, case["name"])
        label, names, record = read_label_map(self.saver.output_dir, case["name"])
        if not bool(label.any()):
            logger.warning("%s: the label map has no foreground, so there is no %s", case["name"], self.what)
            return
        series = dicom_series(_source(case), self.modality)
        mark, verdict = marked(fingerprint), record.get("verdict", "")
        segments = self._write(label[0].numpy(), label.affine.numpy(), series, names, target, mark, verdict)
        logger.info("wrote %s: %s", target, ", ".join(segments))

    def _target(self, name: str) -> Path:
        return self.saver.output_dir / f"{name}{self.ending}"

    def _loaded(self) -> Callable[..., Iterable[str]]:
        """The function that writes the object.

        Raises:
            ImportError: a library is missing.
        """
        raise NotImplementedError


class SaveDicomSegd(DicomExport):
    """Writes ``OUTPUT_DIR/NAME.dcm``, a DICOM Segmentation; see :class:`DicomExport`."""

    what = "DICOM Segmentation"
    switch = "dicom_seg"
    ending = ".dcm"

    def _loaded(self) -> Callable[..., Iterable[str]]:
        from uniseg_nets.dicom.segmentation import write_dicom_seg

        return write_dicom_seg


class SaveRtStructd(DicomExport):
    """Writes ``OUTPUT_DIR/NAME.rtstruct.dcm``, an RT Structure Set; see :class:`DicomExport`."""

    what = "RT Structure Set"
    switch = "rtstruct"
    ending = STRUCTURES_ENDING

    def _loaded(self) -> Callable[..., Iterable[str]]:
        from uniseg_nets.dicom.structures import write_rtstruct

        return write_rtstruct


class SaveDicomSrd(DicomExport):
    """Writes ``OUTPUT_DIR/NAME.sr.dcm``, a Structured Report of volumes; see :class:`DicomExport`.

    It refers to the segments of the DICOM Segmentation, which must come before it in the exports of a run.

    Raises:
        ValueError: raised by a call if the Segmentation belongs to another label map.
    """

    what = "DICOM Structured Report"
    switch = "dicom_sr"
    ending = REPORT_ENDING

    def made_of(self, name: str) -> str | None:
        mark = super().made_of(name)
        # A report on a Segmentation that is gone was made by this package, but belongs to no existing label map.
        return mark if mark is None or self._refers_to(self._target(name), self._segmentation(name)) else ""

    def make(self, case: Mapping[str, Any], fingerprint: str) -> None:
        segmentation = self._segmentation(case["name"])
        if dicom_mark(segmentation) not in (None, fingerprint):
            raise ValueError(f"{segmentation} belongs to another label map: delete it, and run the command again")
        super().make(case, fingerprint)

    def _loaded(self) -> Callable[..., Iterable[str]]:
        from uniseg_nets.dicom.measurements import refers_to, write_measurements

        self._refers_to = refers_to

        def write(label: Any, affine: Any, series: Any, names: Any, target: Path, *texts: str) -> list[str]:
            segmentation = self._segmentation(target.name.removesuffix(self.ending))
            volumes = write_measurements(label, affine, series, names, segmentation, target, *texts)
            return [f"{name} {volume} ml" for name, volume in volumes.items()]

        return write

    def _segmentation(self, name: str) -> Path:
        return self.saver.output_dir / f"{name}{SaveDicomSegd.ending}"


def _source(case: Mapping[str, Any]) -> Path:
    """The path of a case's first channel."""
    image = case["image"]
    return Path(image if isinstance(image, str) else image[0])
