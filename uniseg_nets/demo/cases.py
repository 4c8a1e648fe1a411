"""Segments the cases of a demonstration with the bundle, and computes metrics and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from uniseg_nets.bundle.run import run_bundle
from uniseg_nets.reports.metrics import file_rows
from uniseg_nets.reports.preview import PreviewRow
from uniseg_nets.tasks import Task
from uniseg_nets.transforms.grid import voxel_millilitres
from uniseg_nets.transforms.labels import load_label_map

__all__ = ["DemoCase", "segment_cases"]


@dataclass(frozen=True)
class DemoCase:
    """A scan: its name, the files of its channels, and optionally that of its reference."""

    name: str
    image: list[str]
    reference: str | None = None


def segment_cases(
    cases: Sequence[DemoCase], task: Task, output: Path, overlays: Sequence[str]
) -> tuple[list[dict[str, Any]], list[PreviewRow]]:
    """Writes ``output/label_maps/TASK/NAME.nii.gz``; returns a row per case and class, and a picture per case.

    Args:
        cases: the scans.
        task: the task.
        output: folder of the demonstration.
        overlays: configs of ``uniseg_upstream`` for the network of the weights.
    """
    folder = output / "label_maps" / task.name
    names = [case.name.replace(" ", "_") for case in cases]
    run_bundle(
        "uniseg_upstream",
        ["inference.json", *overlays],
        cases=[{"name": name, "image": case.image} for name, case in zip(names, cases)],
        output_dir=str(folder),
        task=task.name,
        label_values="task",
    )
    rows, pictures = [], []
    for name, case in zip(names, cases):
        prediction = str(folder / f"{name}.nii.gz")
        row_head = {"task": task.name, "case": case.name, "channels": "+".join(task.channels)}
        rows += [row_head | row for row in _figures(prediction, case.reference, task)]
        title = f"{task.name}, {case.name} ({task.channels[-1]})"
        pictures.append(PreviewRow(title, case.image, case.reference, prediction))
    return rows, pictures


def _figures(prediction: str, reference: str | None, task: Task) -> list[dict[str, Any]]:
    """Volumes, and metrics if there is a reference."""
    classes = dict(enumerate(task.classes, start=1))
    if reference is not None:
        return file_rows(prediction, reference, classes)
    label = load_label_map(prediction)
    millilitres = voxel_millilitres(label.affine.numpy()[:3, :3])
    voxels = np.bincount(label.numpy().ravel(), minlength=len(classes) + 1)
    return [{"class": name, "volume_ml": float(voxels[value]) * millilitres} for value, name in classes.items()]
