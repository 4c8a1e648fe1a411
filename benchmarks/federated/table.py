"""Dice after the last round per arm and centre, its difference from ``everything``, and bytes per round.

    python -m benchmarks.federated.table OUT

Means over held patients with 95 % bootstrap intervals; differences are paired by patient. Bytes are those of all sites,
in both directions.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.federated.data import CENTRES, patient
from benchmarks.results import read_rows
from uniseg_nets.study.figures import bootstrap_interval

REFERENCE = "everything"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    output = parser.parse_args().output
    rows, sent = read_rows(output / "dice.csv"), read_rows(output / "bytes.csv")
    dice = {arm: _patients(rows, arm) for arm in dict.fromkeys(row["arm"] for row in rows)}
    print(f"| arm | rounds | {' | '.join(CENTRES)} | bytes per round |\n|---|---|{'---|' * (len(CENTRES) + 1)}")
    for arm, centres in dice.items():
        rounds = max(int(row["round"]) for row in rows if row["arm"] == arm)
        count = max((int(row["bytes_up"]) + int(row["bytes_down"]) for row in sent if row["arm"] == arm), default=0)
        cells = [_cell(list(centres[name].values()), "") for name in CENTRES]
        print(f"| {arm} | {rounds} | {' | '.join(cells)} | {count:,} |")
    if REFERENCE not in dice:
        return
    print(f"\n| minus {REFERENCE} | {' | '.join(CENTRES)} |\n|---|{'---|' * len(CENTRES)}")
    for arm in [arm for arm in dice if arm != REFERENCE]:
        pairs = [(dice[arm][name], dice[REFERENCE][name]) for name in CENTRES]
        cells = [_cell([own[key] - other[key] for key in own if key in other], "+") for own, other in pairs]
        print(f"| {arm} | {' | '.join(cells)} |")


def _patients(rows: Sequence[dict[str, str]], arm: str) -> dict[str, dict[str, float]]:
    """Centre -> patient -> mean Dice of the patient's cases after the arm's last round."""
    own = [row for row in rows if row["arm"] == arm]
    last = max(int(row["round"]) for row in own)
    cases: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in CENTRES}
    for row in own:
        if int(row["round"]) == last:
            cases[row["centre"]][patient(row["case"])].append(float(row["dice"]))
    return {name: {key: float(np.mean(dice)) for key, dice in found.items()} for name, found in cases.items()}


def _cell(dice: Sequence[float], sign: str) -> str:
    if len(dice) < 2:
        return "too few patients"
    low, high = bootstrap_interval(dice)
    return f"{np.mean(dice):{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})"


if __name__ == "__main__":
    main()
