"""Gathers what ran: Dice a set and variant, mean and each seed's value, and costs.

python -m benchmarks.esp_medsam.table OUT
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.esp_medsam.run import HELD, SETS
from benchmarks.results import read_rows, shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    members: dict[str, list[dict[str, str]]] = {}
    for row in read_rows(options.output / "results.csv"):
        members.setdefault(row["variant"], []).append(row)
    right = [name for name in SETS if not name.startswith("wrong_")]
    head = ("variant", "seeds", *right, "mean of four", "wrong modality")
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for variant, rows in members.items():
        cells = [shown([float(row[name]) for row in rows]) for name in right]
        for prefix in ("", "wrong_"):
            cells.append(shown([sum(float(row[prefix + name]) for name in HELD) / len(HELD) for row in rows]))
        print(f"| {variant} | {len(rows)} | {' | '.join(cells)} |")
    print("\n| variant | parameters | trained | held MSE to the teacher | seconds a training |\n|---|---|---|---|---|")
    for variant, rows in members.items():
        errors = shown([float(row["held_mse"]) for row in rows if row["held_mse"]])
        seconds = sorted(int(row["seconds"]) for row in rows)
        counts = f"{int(rows[0]['parameters']):,} | {int(rows[0]['trained']):,}"
        print(f"| {variant} | {counts} | {errors} | {seconds[0]} to {seconds[-1]} |")


if __name__ == "__main__":
    main()
