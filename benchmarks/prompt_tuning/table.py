"""Dice on the new and the old centre per variant and number of new cases, and its change from the base as it is.

    python -m benchmarks.prompt_tuning.table OUT

Of a case: the mean over its classes and the seeds. Of a centre: the mean over patients, with a 95 % bootstrap interval.
Changes are paired by patient: from the base as it is, and from training everything on as many cases.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean

from benchmarks.prompt_tuning.run import BASE, NEW, OLD, SIZES
from benchmarks.results import read_rows, with_interval
from uniseg_nets.study.figures import patient_means

_ALL = "everything"
Figures = dict[tuple[str, str], float]  # (patient, case) -> Dice


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    output = parser.parse_args().output
    rows, trainings = read_rows(output / "cases.csv"), read_rows(output / "trainings.csv")
    variants = list(dict.fromkeys(row["variant"] for row in rows if row["variant"] != BASE))
    changed = ("from the base", f"from {_ALL}", "old centre", "from the base")
    head = ("new cases", "variant", "seeds", "new centre", *changed)
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for size in ("0", *SIZES):
        for variant in (BASE, *variants):
            own = [row for row in rows if (row["variant"], row["size"]) == (variant, size)]
            if own:
                print(f"| {size} | {variant} | {len({row['seed'] for row in own})} | {_cells(rows, variant, size)} |")
    print("\n| variant | trained | of all | file | seconds per training |\n|---|---|---|---|---|")
    for variant in variants:
        if members := [row for row in trainings if row["variant"] == variant]:
            print(_cost(variant, members))


def dice_of(rows: list[dict[str, str]], variant: str, size: str, centre: str) -> Figures:
    """The mean Dice of each case over classes and seeds."""
    own: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        known = row["variant"], row["size"], row["centre"]
        if known == (variant, size, centre) and row["status"] != "absent":
            own.setdefault((row["patient"], row["case"]), []).append(float(row["dice"]))
    return {key: fmean(values) for key, values in own.items()}


def _cells(rows: list[dict[str, str]], variant: str, size: str) -> str:
    """New centre, its two changes, old centre, its change; of the base no change."""
    new, old = (dice_of(rows, variant, size, centre) for centre in (NEW, OLD))
    if variant == BASE:
        return f"{_shown(new)} | | | {_shown(old)} | "
    base_new, base_old = (dice_of(rows, BASE, "0", centre) for centre in (NEW, OLD))
    everything = dice_of(rows, _ALL, size, NEW) if variant != _ALL else {}
    changes = (_change(new, base_new), _change(new, everything), _shown(old), _change(old, base_old))
    return " | ".join((_shown(new), *changes))


def _change(own: Figures, other: Figures) -> str:
    return _shown({key: own[key] - other[key] for key in own}, "+") if other else ""


def _shown(figures: Mapping[tuple[str, str], float], sign: str = "") -> str:
    return with_interval(patient_means(figures), sign)


def _cost(variant: str, members: list[dict[str, str]]) -> str:
    trained, parameters = int(members[0]["trained"]), int(members[0]["parameters"])
    seconds = sorted(int(row["seconds"]) for row in members)
    size = int(members[0]["file_bytes"]) / 1e6
    return f"| {variant} | {trained:,} | {trained / parameters:.2%} | {size:.2f} MB | {seconds[0]} to {seconds[-1]} |"


if __name__ == "__main__":
    main()
