"""Dice after the last round per arm and centre, its difference from ``everything``, and bytes per round.

    python -m benchmarks.federated.table OUT

Means over held patients with 95 % bootstrap intervals; differences are paired by patient. Bytes are those of all sites,
in both directions.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.federated.data import CENTRES, patient
from benchmarks.results import read_rows, with_interval
from uniseg_nets.study.figures import patient_means

REFERENCE = "everything"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    output = parser.parse_args().output
    rows, sent = read_rows(output / "dice.csv"), read_rows(output / "bytes.csv")
    dice = {arm: _last_round(rows, arm) for arm in dict.fromkeys(row["arm"] for row in rows)}
    print(f"| arm | rounds | {' | '.join(CENTRES)} | bytes per round |\n|---|---|{'---|' * (len(CENTRES) + 1)}")
    for arm, centres in dice.items():
        rounds = max(int(row["round"]) for row in rows if row["arm"] == arm)
        count = max((int(row["bytes_up"]) + int(row["bytes_down"]) for row in sent if row["arm"] == arm), default=0)
        cells = [_cell(centres[name], "") for name in CENTRES]
        print(f"| {arm} | {rounds} | {' | '.join(cells)} | {count:,} |")
    if REFERENCE not in dice:
        return
    print(f"\n| minus {REFERENCE} | {' | '.join(CENTRES)} |\n|---|{'---|' * len(CENTRES)}")
    for arm in [arm for arm in dice if arm != REFERENCE]:
        pairs = [(dice[arm][name], dice[REFERENCE][name]) for name in CENTRES]
        cells = [_cell({key: own[key] - other[key] for key in own if key in other}, "+") for own, other in pairs]
        print(f"| {arm} | {' | '.join(cells)} |")


def _last_round(rows: Sequence[dict[str, str]], arm: str) -> dict[str, dict[tuple[str, str], float]]:
    """Centre -> (patient, case) -> Dice after the arm's last round."""
    own = [row for row in rows if row["arm"] == arm]
    last = max(int(row["round"]) for row in own)
    figures: dict[str, dict[tuple[str, str], float]] = {name: {} for name in CENTRES}
    for row in own:
        if int(row["round"]) == last:
            figures[row["centre"]][patient(row["case"]), row["case"]] = float(row["dice"])
    return figures


def _cell(figures: Mapping[tuple[str, str], float], sign: str) -> str:
    means = patient_means(figures)
    return "too few patients" if len(means) < 2 else with_interval(means, sign)


if __name__ == "__main__":
    main()
