"""The demonstration of the 2D network, which recognises and segments synthetic images of six modalities.

It runs the bundle on files. The images, and those that its weights were trained on, are synthetic.
"""

from __future__ import annotations

import json
from os import PathLike
from pathlib import Path

from uniseg_nets.bundle.run import run_bundle
from uniseg_nets.image2d.cases import load_pictures
from uniseg_nets.image2d.report import PictureReport
from uniseg_nets.nets.esp_medsam.modalities import MODALITIES
from uniseg_nets.phantom import write_phantom_pictures

__all__ = ["run_demo"]

# The training of the demo weights used seeds from 1000.
_SEED = 7


def run_demo(output: str | PathLike[str], count: int = 2) -> str:
    """Writes images, masks, overlays, ``cases.csv`` and ``summary.csv`` under ``output``; returns a table as text."""
    output = Path(output)
    datalist = write_phantom_pictures(output / "images", count, seed=_SEED)
    masks = output / "masks"
    run_bundle(
        "esp_medsam_2d",
        ["inference.json", "demo.json"],
        dataset_dir=str(datalist.parent / "images"),
        output_dir=str(masks),
    )
    cases = load_pictures(datalist, "training", MODALITIES)
    lines = [f"{'modality':<12} {'Dice':>6}  recognised as"]
    for row in PictureReport(cases, masks, output).write():
        own = [case["name"] for case in cases if case["modality"] == row["modality"]]
        records = [json.loads((masks / f"{name}.json").read_text(encoding="utf-8")) for name in own]
        recognised = ", ".join(f"{record['modality']} ({record['confidence']:.2f})" for record in records)
        lines.append(f"{row['modality']:<12} {row['dice']:>6.3f}  {recognised}")
    lines.append(f"Synthetic images, weights trained on synthetic images only. Files: {output}")
    return "\n".join(lines)
