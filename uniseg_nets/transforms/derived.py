"""Exports of a saved label map: reports, DICOM objects, segmentations for 3D Slicer.

The one rule: an export is finished if it exists and was made from the label map that is beside it now.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

from monai.transforms import Transform

from uniseg_nets.io.errors import root_cause
from uniseg_nets.transforms.export import SaveLabelMapd

__all__ = ["CaseExport"]


class CaseExport(Transform):
    """An export of each saved label map. Subclasses make it (:meth:`make`) and identify it (:meth:`made_of`).

    Args:
        saver: writer of the label maps, of one task or of several in one map.
        cases: cases of the run, each with ``name`` and ``image``.

    Raises:
        ValueError: if the saver has no task of its own; from a call, if the export cannot be made; the label map stays.
    """

    what = "export"

    def __init__(self, saver: SaveLabelMapd, cases: list[dict[str, Any]]) -> None:
        if saver.task is None:  # results would lie in a folder per task, where exports do not look
            raise ValueError("exports need a saver of one task")
        self.saver = saver
        self.task = saver.task
        self.cases = {case["name"]: case for case in cases}

    def pending(self) -> list[dict[str, Any]]:
        """The cases with a finished label map whose export is missing or was made from an earlier label map."""
        finished = [case for case in self.cases.values() if self.saver.is_finished(case)]
        return [case for case in finished if self.made_of(case["name"]) != self.saver.fingerprint(case)]

    def __call__(self, data: Mapping[Hashable, Any]) -> Mapping[Hashable, Any]:
        case = self.cases[data[self.saver.name_key]]
        try:
            self.make(case, self.saver.fingerprint(case))
        except Exception as error:  # a faulty scan can raise any error
            raise ValueError(f"the label map is written, but no {self.what}: {root_cause(error)}") from error
        return data

    def refuse_others(self, target: Path, name: str) -> None:
        """Raises ``ValueError`` if an export would replace a file that this package did not write."""
        if target.exists() and self.made_of(name) is None:
            raise ValueError(f"{target} exists and was not written by this package: move it away")

    def made_of(self, name: str) -> str | None:
        """The fingerprint of the label map that a case's export was made from; ``None`` if there is no export."""
        raise NotImplementedError

    def make(self, case: Mapping[str, Any], fingerprint: str) -> None:
        """Writes a case's export, with the fingerprint of its label map."""
        raise NotImplementedError
