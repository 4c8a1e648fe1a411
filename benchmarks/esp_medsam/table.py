"""Dice on the held images per variant and modality, and what distillation changes with the same few masks.

    python -m benchmarks.esp_medsam.table OUT

Of an image: the mean over the seeds. Of a modality: the mean over images with a 95 % bootstrap interval. Changes are
paired by image, and counted over the seeds that both variants have.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import fmean

from benchmarks.esp_medsam.run import SETS
from benchmarks.results import read_rows, with_interval

_STUDENT = "distilled, then 8 masks"
Rows = list[dict[str, str]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    output = parser.parse_args().output
    rows, trainings = read_rows(output / "cases.csv"), read_rows(output / "trainings.csv")
    members = {
        name: [row for row in rows if row["variant"] == name]
        for name in dict.fromkeys(row["variant"] for row in trainings)
    }
    print(f"| variant | seeds | {' | '.join(SETS)} | mean of {len(SETS)} |\n|---|---|{'---|' * (len(SETS) + 1)}")
    for variant, own in members.items():
        dice = [list(image_means(own, modality).values()) for modality in SETS]
        cells = [with_interval(values) for values in dice]
        print(f"| {variant} | {len(_seeds(own))} | {' | '.join(cells)} | {fmean(map(fmean, dice)):.3f} |")
    print(f"\n| {_STUDENT}, minus | seeds | {' | '.join(SETS)} |\n|---|---|{'---|' * len(SETS)}")
    student = members.get(_STUDENT, [])
    for variant, own in members.items():
        shared = _seeds(own) & _seeds(student)
        if variant != _STUDENT and shared:
            print(f"| {variant} | {len(shared)} | {' | '.join(_changes(student, own, shared))} |")
    print("\n| variant | steps | masks | trained | parameters | seconds per training |\n|---|---|---|---|---|---|")
    for variant in members:
        own = [row for row in trainings if row["variant"] == variant]
        seconds = sorted(int(row["seconds"]) for row in own)
        counts = f"{int(own[0]['trained']):,} | {int(own[0]['parameters']):,}"
        print(f"| {variant} | {own[0]['steps']} | {own[0]['masks']} | {counts} | {seconds[0]} to {seconds[-1]} |")


def image_means(rows: Rows, modality: str) -> dict[str, float]:
    """Image -> mean Dice over the seeds."""
    dice: dict[str, list[float]] = {}
    for row in rows:
        if row["modality"] == modality:
            dice.setdefault(row["case"], []).append(float(row["dice"]))
    return {case: fmean(values) for case, values in dice.items()}


def _seeds(rows: Rows) -> set[str]:
    return {row["seed"] for row in rows}


def _changes(student: Rows, other: Rows, seeds: set[str]) -> list[str]:
    """Per modality the student's change of Dice from another variant, over the seeds of both."""
    cells = []
    for modality in SETS:
        own, reference = (
            image_means([row for row in rows if row["seed"] in seeds], modality) for rows in (student, other)
        )
        cells.append(with_interval([own[case] - reference[case] for case in own], "+"))
    return cells


if __name__ == "__main__":
    main()
