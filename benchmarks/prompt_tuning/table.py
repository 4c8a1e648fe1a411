"""Gathers what ran: new and old centre's Dice by number of cases and variant, mean and each seed's value.

python -m benchmarks.prompt_tuning.table OUT [--figure FIGURE.png]

OUT is that of ``benchmarks.prompt_tuning.run`` or of ``benchmarks.prompt_tuning.fundus``.

"of the gain" and "of the loss" compare with training everything on as many cases, seed by seed, then averaged: what it
gains on the new centre over the base as it is, and loses on the old one.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.prompt_tuning.run import SIZES
from benchmarks.results import read_rows, shown

Scores = dict[tuple[str, str], dict[str, dict[str, float]]]
_BASE, _ALL = "none", "everything"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    rows = read_rows(options.output / "results.csv")
    scores: Scores = {}  # variant and size -> seed -> figures
    order = sorted(rows, key=lambda row: row["seed"] != rows[0]["seed"])
    variants = [name for name in dict.fromkeys(row["variant"] for row in order) if name != _BASE]
    for row in rows:
        numbers = {name: float(row[name]) for name in ("new_dice", "old_dice")}
        scores.setdefault((row["variant"], row["size"]), {})[row["seed"]] = numbers
    head = ("new cases", "variant", "seeds", "new centre", "old centre", "of the gain", "of the loss")
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for size in ("0", *SIZES):
        for variant in (_BASE, *variants):
            if (variant, size) in scores:
                print(_line(scores, variant, size))
    print("\n| variant | trained | of all | file | seconds a training |\n|---|---|---|---|---|")
    for variant in variants:
        members = [row for row in rows if row["variant"] == variant]
        if members:
            print(_cost(variant, members))
    if options.figure:
        _curves(scores, variants, options.figure)


def _line(scores: Scores, variant: str, size: str) -> str:
    seeds = scores[variant, size]
    cells = [shown([one[name] for one in seeds.values()]) for name in ("new_dice", "old_dice")]
    shares = []
    for name in ("new_dice", "old_dice"):
        all_data = {seed: scores.get((_ALL, size), {}).get(seed, {}).get(name) for seed in seeds}
        base = {seed: scores[_BASE, "0"][seed][name] for seed in seeds}
        each = [
            (seeds[seed][name] - base[seed]) / (changed - base[seed]) for seed, changed in all_data.items() if changed
        ]
        shares.append(f"{statistics.fmean(each):.0%}" if each else "")
    return f"| {size} | {variant} | {len(seeds)} | {' | '.join([*cells, *shares])} |"


def _cost(variant: str, members: list[dict[str, str]]) -> str:
    trained, parameters = int(members[0]["trained"]), int(members[0]["parameters"])
    seconds = sorted(int(row["seconds"]) for row in members)
    size = int(members[0]["file_bytes"]) / 1e6
    return f"| {variant} | {trained:,} | {trained / parameters:.2%} | {size:.2f} MB | {seconds[0]} to {seconds[-1]} |"


def _curves(scores: Scores, variants: list[str], path: Path) -> None:
    figure = Figure(figsize=(10, 3.4))
    panels = figure.subplots(1, 2, sharey=True)
    for axes, name, title in zip(panels, ("new_dice", "old_dice"), ("new centre", "old centre")):
        for variant in variants:
            means = [
                (place, statistics.fmean(one[name] for one in scores[variant, size].values()))
                for place, size in enumerate(SIZES)
                if (variant, size) in scores
            ]
            if means:
                axes.plot(*zip(*means), marker="o", label=variant)
        base = statistics.fmean(one[name] for one in scores[_BASE, "0"].values())
        axes.axhline(base, color="grey", linestyle=":", label="base as it is")
        axes.set_xticks(range(len(SIZES)), list(SIZES))
        axes.set_xlabel("cases of the new centre")
        axes.set_title(title, fontsize=9)
    panels[0].set_ylabel("mean Dice, held cases")
    panels[1].legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.tight_layout()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
