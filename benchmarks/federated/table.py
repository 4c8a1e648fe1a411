"""Dice of the last round per arm and centre, with 95 % intervals over patients, and bytes per round.

python -m benchmarks.federated.table OUT
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np

from benchmarks.federated.data import CENTRES, patient
from benchmarks.results import read_rows
from uniseg_nets.study.figures import bootstrap_interval


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    output = parser.parse_args().output
    rows, sent = read_rows(output / "dice.csv"), read_rows(output / "bytes.csv")
    print(f"| arm | {' | '.join(CENTRES)} | bytes per round |\n|---|{'---|' * (len(CENTRES) + 1)}")
    for arm in dict.fromkeys(row["arm"] for row in rows):
        own = [row for row in rows if row["arm"] == arm]
        last = max(int(row["round"]) for row in own)
        cells = [_cell([row for row in own if row["centre"] == name and int(row["round"]) == last]) for name in CENTRES]
        count = [int(row["bytes_up"]) + int(row["bytes_down"]) for row in sent if row["arm"] == arm]
        print(f"| {arm} | {' | '.join(cells)} | {max(count):,} |")


def _cell(rows: list[dict[str, str]]) -> str:
    patients = defaultdict(list)
    for row in rows:
        patients[patient(row["case"])].append(float(row["dice"]))
    means = [float(np.mean(dice)) for dice in patients.values()]
    if len(means) < 2:
        return "too few patients"
    low, high = bootstrap_interval(means)
    return f"{np.mean(means):.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    main()
