"""Gathers what ran: Dice a task, mean and each seed's value, and the learning curves.

python -m benchmarks.multitask.table OUT [--figure docs/multitask.png]
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmarks.multitask.networks import VARIANTS
from benchmarks.results import shown
from uniseg_nets.tasks import load_task_table

TASKS = [task.name for task in load_task_table(Path(__file__).with_name("tasks.json"))]


def read_runs(output: Path) -> dict[str, list[dict[str, float]]]:
    """Variant -> for each seed, mean Dice a task."""
    runs: dict[str, list[dict[str, float]]] = defaultdict(list)
    for variant in VARIANTS:
        for folder in sorted(output.glob(f"{variant}_seed*")):
            scores: dict[str, list[float]] = defaultdict(list)
            for path in folder.rglob("summary.csv"):
                for row in csv.DictReader(path.open()):
                    scores[row["task"]].append(float(row["dice"]))
            if set(scores) == set(TASKS):
                runs[variant].append({task: float(np.mean(values)) for task, values in scores.items()})
    return runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--figure", type=Path)
    arguments = parser.parse_args()
    print(f"| variant | seeds | {' | '.join(TASKS)} | mean |\n|---|---|{'---|' * (len(TASKS) + 1)}")
    for variant, seeds in read_runs(arguments.output).items():
        cells = []
        for values in [[run[task] for run in seeds] for task in TASKS] + [
            [float(np.mean(list(run.values()))) for run in seeds]
        ]:
            cells.append(shown(values))
        print(f"| {variant} | {len(seeds)} | {' | '.join(cells)} |")
    if arguments.figure:
        _curves(arguments.output, arguments.figure)


def _curves(output: Path, figure_path: Path) -> None:
    figure = Figure(figsize=(6, 4))
    axes = figure.subplots()
    for folder in sorted(output.glob("*_seed*")):
        # One curve, or one for each single-task network: their mean is over the same cases as the others'.
        curves = [np.loadtxt(path, delimiter=",", ndmin=2) for path in folder.rglob("curve.csv")]
        if curves:
            epochs, dice = np.mean([curve for curve in curves if len(curve) == len(curves[0])], axis=0).T
            axes.plot(epochs, dice, marker=".", label=folder.name.replace("_seed", ", seed "))
    axes.set_xlabel("epoch")
    axes.set_ylabel("mean Dice on every fourth held case")
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(figure_path, dpi=120)


if __name__ == "__main__":
    main()
