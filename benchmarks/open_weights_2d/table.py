"""Figures of an evaluation of 2D masks as a Markdown table; `uniseg compare` gives the change to a second one.

    python -m benchmarks.open_weights_2d.table EVAL/cases.csv [--data DATA]

DATA has the datalist: with it, images on a bright ground, whose mean grey is above a half, have a row of their own.
Intervals are 95 % of bootstrap samples over images. An image without any predicted pixel counts as Dice 0; HD95 is over
the images that have one.
"""

from __future__ import annotations

import argparse
from math import isfinite
from pathlib import Path
from statistics import fmean

from benchmarks.open_weights_2d.data import held_images
from benchmarks.results import read_rows, with_interval
from uniseg_nets.image2d.load import read_picture

Rows = list[dict[str, str]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", type=Path)
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()
    own = by_modality(options.cases)
    print("| modality | images | Dice (95 %) | lowest | NSD at 2 pixels | HD95 (pixels) | missed |\n|" + "---|" * 7)
    bright = bright_images(options.data) if options.data else set()
    parts = {f"{modality}, bright": [row for row in rows if row["case"] in bright] for modality, rows in own.items()}
    for modality, rows in {**own, **{name: rows for name, rows in parts.items() if rows}}.items():
        dice = figures(rows, "dice")
        distances = [distance for distance in figures(rows, "hd95_pixels") if isfinite(distance)]
        missed = sum(row["status"] == "false_negative" for row in rows)
        cells = (modality, len(rows), with_interval(dice), f"{min(dice):.3f}", with_interval(figures(rows, "nsd")))
        print(f"| {' | '.join(map(str, cells))} | {fmean(distances):.1f} | {missed} |")


def by_modality(cases: Path) -> dict[str, Rows]:
    """Modality -> its rows of ``cases.csv``."""
    found: dict[str, Rows] = {}
    for row in read_rows(cases):
        found.setdefault(row["modality"], []).append(row)
    return found


def bright_images(data: Path) -> set[str]:
    """The held images on a bright ground, such as stained tissue."""
    return {case["name"] for case in held_images(data) if read_picture(case["image"]).mean() > 0.5}


def figures(rows: Rows, metric: str) -> list[float]:
    return [float(row[metric]) for row in rows]


if __name__ == "__main__":
    main()
