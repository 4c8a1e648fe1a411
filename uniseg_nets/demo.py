"""The demonstration: one network segments synthetic patients of three modalities.

It runs the real bundle on files; only the patients and the weights are synthetic.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from uniseg_nets.bundle import run_bundle
from uniseg_nets.files import write_json
from uniseg_nets.phantom import write_phantoms
from uniseg_nets.reports.metrics import file_rows
from uniseg_nets.reports.preview import PreviewRow, save_preview
from uniseg_nets.tasks import Task, load_task_table

__all__ = ["run_demo"]

# One task a modality: CT, MR of four sequences, PET/CT.
_TASKS = ("liver", "brain_tumour", "whole_body_tumour")
# Patients that the demo weights never saw: their training used seeds from 1000.
_SEED = 7


def run_demo(output: str | PathLike[str]) -> str:
    """Writes scans, label maps, ``results.json`` and ``preview.png`` under ``output``; returns the table as text."""
    output = Path(output)
    table = load_task_table()
    rows: list[dict[str, Any]] = []
    pictures = []
    for task in map(table.one, _TASKS):
        picture = _segment(output, task)
        pictures.append(picture)
        rows += _rows(picture, task)
    write_json(output / "results.json", rows)
    save_preview(pictures, output / "preview.png")
    lines = [f"{'task':<18} {'channels':<16} {'class':<28} {'Dice':>6} {'ml':>9} {'reference ml':>13}"]
    lines += [
        f"{row['task']:<18} {row['channels']:<16} {row['class']:<28} {row['dice']:>6.3f} {row['volume_ml']:>9.1f} "
        f"{row['reference_ml']:>13.1f}"
        for row in rows
    ]
    lines.append(f"Synthetic patients, weights trained on synthetic patients only. Files: {output}")
    return "\n".join(lines)


def _segment(output: Path, task: Task) -> PreviewRow:
    """Makes a patient, segments it by the bundle, and says where the files are."""
    scans, maps = output / "scans" / task.name, output / "label_maps" / task.name
    (name,) = write_phantoms(scans, task, count=1, seed=_SEED)
    run_bundle(
        "uniseg_upstream",
        ["inference.json", "demo.json"],
        dataset_dir=str(scans),
        output_dir=str(maps),
        task=task.name,
        label_values="task",
    )
    return PreviewRow(
        title=f"{task.name} ({task.channels[-1]})",
        image=[str(path) for path in sorted((scans / "imagesTr").glob(f"{name}_*.nii.gz"))],
        reference=str(scans / "labelsTr" / f"{name}.nii.gz"),
        found=str(maps / f"{name}.nii.gz"),
    )


def _rows(files: PreviewRow, task: Task) -> list[dict[str, Any]]:
    rows = file_rows(files.found, files.reference, dict(enumerate(task.classes, start=1)))
    return [{"task": task.name, "channels": "+".join(task.channels), **row} for row in rows]
