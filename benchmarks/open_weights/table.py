"""Figures of an evaluation with intervals, as a Markdown table.

    python -m benchmarks.open_weights.table EVAL/cases.csv [--ceilings CEILINGS.csv]

Cells are means over cases; intervals are 95 % of bootstrap samples over patients (10,000, seed 0). A missed class
counts as Dice 0; HD95 is over the cases that have one. CEILINGS.csv is what :mod:`benchmarks.open_weights.ceiling`
wrote.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from uniseg_nets.data.groups import group_of

SAMPLES = 10_000


def interval(values: Sequence[float], patients: Sequence[str]) -> tuple[float, float]:
    """95 % of the means over patients drawn with replacement, all cases of a patient together."""
    own: dict[str, list[float]] = defaultdict(list)
    for value, patient in zip(values, patients):
        own[patient].append(value)
    sums, counts = (np.array([measure(one) for one in own.values()]) for measure in (sum, len))
    drawn = np.random.default_rng(0).integers(len(own), size=(SAMPLES, len(own)))
    low, high = np.percentile(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1), (2.5, 97.5))
    return float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", type=Path)
    parser.add_argument("--ceilings", type=Path)
    options = parser.parse_args()
    rows = list(csv.DictReader(options.cases.open()))
    ceilings: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in csv.DictReader(options.ceilings.open()) if options.ceilings else []:
        ceilings[row["task"], row["class"]].append(float(row["dice"]))
    print("| task | class | cases (patients) | Dice | 95 % | lowest | NSD at 2 mm | HD95 (mm) | ceiling |")
    print("|---|---|---|---|---|---|---|---|---|")
    for task, name in dict.fromkeys((row["task"], row["class"]) for row in rows):
        own = [row for row in rows if (row["task"], row["class"]) == (task, name) and row["status"] != "absent"]
        patients = [patient_of(task, row["case"]) for row in own]
        dice, nsd, hd95 = ([float(row[key]) for row in own] for key in ("dice", "nsd", "hd95_mm"))
        low, high = interval(dice, patients)
        ceiling = f"{np.mean(ceilings[task, name]):.3f}" if ceilings[task, name] else ""
        print(
            f"| {task} | {name} | {len(own)} ({len(set(patients))}) | {np.mean(dice):.3f} | {low:.3f} to {high:.3f} | "
            f"{min(dice):.3f} | {np.mean(nsd):.3f} | {np.nanmean(hd95):.1f} | {ceiling} |"
        )


def patient_of(task: str, case: str) -> str:
    """The patient of a case: stacks of the left ventricle at two times (``_ED``, ``_ES``) are of one."""
    return case.rpartition("_")[0] if task == "left_ventricle" else group_of({"name": case})


if __name__ == "__main__":
    main()
