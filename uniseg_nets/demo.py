"""The demonstration: one network segments synthetic patients of three modalities.

It runs the real bundle on files; only the patients and the weights are synthetic.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from monai.metrics import compute_dice
from monai.networks import one_hot
from numpy.typing import NDArray

from uniseg_nets.bundle import run_bundle
from uniseg_nets.files import atomic_path
from uniseg_nets.phantom import write_phantoms
from uniseg_nets.tasks import Task, load_task_table

__all__ = ["run_demo"]

logger = logging.getLogger(__name__)

# One task a modality: CT, MR with one and with four sequences, PET/CT.
_TASKS = ("liver", "brain_tumour", "whole_body_tumour")
# Patients that the demo weights never saw: their training used seeds from 1000.
_SEED = 7


@dataclass(frozen=True)
class _Result:
    task: Task
    image: NDArray[np.float32]  # (C, x, y, z), RAS
    reference: NDArray[np.uint8]  # (x, y, z)
    found: NDArray[np.uint8]
    voxel_ml: float

    def rows(self) -> list[dict[str, str | float]]:
        """Dice and volumes of each class."""
        found, reference = (
            one_hot(torch.from_numpy(label.astype(np.int64))[None, None], self.task.num_outputs)
            for label in (self.found, self.reference)
        )
        dice = compute_dice(found, reference, include_background=False)[0].tolist()
        return [
            {
                "task": self.task.name,
                "channels": "+".join(self.task.channels),
                "class": name,
                "dice": round(dice[value - 1], 3),
                "volume_ml": round(float((self.found == value).sum()) * self.voxel_ml, 1),
                "reference_ml": round(float((self.reference == value).sum()) * self.voxel_ml, 1),
            }
            for value, name in enumerate(self.task.classes, start=1)
        ]


def run_demo(output: str | PathLike[str]) -> str:
    """Writes scans, label maps, ``results.json`` and ``preview.png`` under ``output``; returns the table as text."""
    output = Path(output)
    table = load_task_table()
    results = [_segment(output, table.one(name)) for name in _TASKS]
    rows = [row for result in results for row in result.rows()]
    with atomic_path(output / "results.json") as temporary:
        temporary.write_text(json.dumps(rows, indent=4) + "\n", encoding="utf-8")
    _preview(results, output / "preview.png")
    lines = [f"{'task':<18} {'channels':<16} {'class':<28} {'Dice':>6} {'ml':>9} {'reference ml':>13}"]
    lines += [
        f"{row['task']:<18} {row['channels']:<16} {row['class']:<28} {row['dice']:>6.3f} {row['volume_ml']:>9.1f} "
        f"{row['reference_ml']:>13.1f}"
        for row in rows
    ]
    lines.append(f"Synthetic patients, weights trained on synthetic patients only. Files: {output}")
    return "\n".join(lines)


def _segment(output: Path, task: Task) -> _Result:
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
    channels = [
        nib.as_closest_canonical(nib.load(scans / "imagesTr" / f"{name}_{channel:04d}.nii.gz"))
        for channel in range(len(task.channels))
    ]
    reference, found = (
        np.asarray(nib.as_closest_canonical(nib.load(path)).dataobj, dtype=np.uint8)
        for path in (scans / "labelsTr" / f"{name}.nii.gz", maps / f"{name}.nii.gz")
    )
    return _Result(
        task,
        np.stack([channel.get_fdata(dtype=np.float32) for channel in channels]),
        reference,
        found,
        voxel_ml=float(np.prod(channels[0].header.get_zooms()[:3])) / 1000,
    )


def _preview(results: list[_Result], path: Path) -> None:
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot as plt
    except ImportError:
        logger.warning("no picture: `pip install 'uniseg-nets[demo]'` brings matplotlib")
        return
    figure, axes = plt.subplots(len(results), 3, figsize=(9, 3 * len(results)), facecolor="black", squeeze=False)
    colours = matplotlib.colors.ListedColormap(["#e6550d", "#31a354", "#3182bd"])
    for row, result in zip(axes, results):
        labelled = (result.reference > 0).sum(axis=(0, 1))
        slice_z = int(labelled.argmax())
        image = result.image[-1, :, :, slice_z].T
        low, high = np.percentile(image, (2, 99.5))
        for panel, label in zip(row, (None, result.reference, result.found)):
            panel.imshow(image, cmap="gray", vmin=low, vmax=high, origin="lower")
            if label is not None:
                mask = np.ma.masked_equal(label[:, :, slice_z].T, 0)
                panel.imshow(mask, cmap=colours, vmin=1, vmax=3, alpha=0.6, origin="lower", interpolation="nearest")
            panel.set_axis_off()
        row[0].set_title(f"{result.task.name} ({result.task.channels[-1]})", color="white", fontsize=11)
    axes[0, 1].set_title("reference", color="white", fontsize=11)
    axes[0, 2].set_title("UniSeg", color="white", fontsize=11)
    figure.tight_layout()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=90)
    plt.close(figure)
