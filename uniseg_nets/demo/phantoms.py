"""Segments synthetic patients of three modalities with the demo weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from uniseg_nets.demo.cases import DemoCase, segment_cases
from uniseg_nets.phantom import write_phantoms
from uniseg_nets.reports.preview import PreviewRow
from uniseg_nets.tasks import load_task_table

__all__ = ["segment_phantoms"]

# One task per modality: CT, MR of four sequences, PET/CT.
_TASKS = ("liver", "brain_tumour", "whole_body_tumour")
# The training of the demo weights used seeds from 1000.
_SEED = 7


def segment_phantoms(output: Path) -> tuple[list[dict[str, Any]], list[PreviewRow]]:
    """Makes one patient per task and segments it; returns rows with metrics, and pictures."""
    rows: list[dict[str, Any]] = []
    pictures: list[PreviewRow] = []
    for task in map(load_task_table().one, _TASKS):
        folder = output / "scans" / task.name
        (name,) = write_phantoms(folder, task, count=1, seed=_SEED)
        image = [str(path) for path in sorted((folder / "imagesTr").glob(f"{name}_*.nii.gz"))]
        case = DemoCase("phantom", image, str(folder / "labelsTr" / f"{name}.nii.gz"))
        figures, pictured = segment_cases([case], task, output, ["demo.json"])
        rows += figures
        pictures += pictured
    return rows, pictures
