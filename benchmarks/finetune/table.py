"""Gathers what ran: Dice by data set, number of cases and variant, mean and each seed's value.

python -m benchmarks.finetune.table OUT [--figure FIGURE.png]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.finetune.run import SLOTS, VARIANTS
from benchmarks.results import read_rows, shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    rows = [row for dataset in SLOTS for row in read_rows(options.output / f"{dataset}.csv")]
    scores: dict[tuple[str, int, str], list[float]] = {}
    for row in rows:
        scores.setdefault((row["dataset"], int(row["cases"]), row["variant"]), []).append(float(row["dice"]))
    print(f"| data | training cases | {' | '.join(VARIANTS)} |\n|---|---|{'---|' * len(VARIANTS)}")
    for dataset in SLOTS:
        for cases in sorted({cases for name, cases, _ in scores if name == dataset}):
            cells = [shown(scores.get((dataset, cases, variant), [])) for variant in VARIANTS]
            print(f"| {dataset} | {cases} | {' | '.join(cells)} |")
    print(f"\n| variant | parameters trained | seconds a training |\n|---|---|---|\n{_costs(rows)}")
    if options.figure:
        _lines(scores, options.figure)


def _costs(rows: list[dict[str, str]]) -> str:
    lines = []
    for variant in VARIANTS:
        members = [row for row in rows if row["variant"] == variant]
        if members:
            counts = sorted({f"{int(row['trained']):,} of {int(row['parameters']):,}" for row in members})
            seconds = sorted(int(row["seconds"]) for row in members)
            lines.append(f"| {variant} | {'; '.join(counts)} | {seconds[0]} to {seconds[-1]} |")
    return "\n".join(lines)


def _lines(scores: dict[tuple[str, int, str], list[float]], path: Path) -> None:
    figure = Figure(figsize=(9, 3.2))
    panels = figure.subplots(1, len(SLOTS))
    for axes, dataset in zip(panels, SLOTS):
        sizes = sorted({cases for name, cases, _ in scores if name == dataset})
        for variant in VARIANTS:
            points = [
                (position, value)
                for position, cases in enumerate(sizes)
                for value in scores.get((dataset, cases, variant), [])
            ]
            means = [
                (position, sum(rates) / len(rates))
                for position, cases in enumerate(sizes)
                if (rates := scores.get((dataset, cases, variant)))
            ]
            (line,) = axes.plot(*zip(*means), label=variant) if means else axes.plot([], [])
            axes.scatter(*zip(*points), s=10, color=line.get_color()) if points else None
        axes.set_xticks(range(len(sizes)), [str(cases) for cases in sizes])
        axes.set_title(dataset, fontsize=9)
        axes.set_xlabel("training cases")
    panels[0].set_ylabel("mean Dice, held cases")
    panels[-1].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
