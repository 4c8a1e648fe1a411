"""The README's picture: held cases of all five tasks, the case of median Dice of each.

    python -m benchmarks.open_weights.picture DATA EVAL docs/open.png

EVAL is the folder of an evaluation of DATA's held cases.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from pathlib import Path

import numpy as np

from uniseg_nets.data import load_datalist
from uniseg_nets.reports.preview import PreviewRow, save_preview
from uniseg_nets.tasks import load_task_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("evaluation", type=Path)
    parser.add_argument("picture", type=Path)
    options = parser.parse_args()
    scores: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in csv.DictReader((options.evaluation / "cases.csv").open()):
        if row["status"] != "absent":
            scores[row["task"], row["case"]].append(float(row["dice"]))
    held = load_datalist(options.data / "datalist.json", "validation", options.data)
    rows = []
    for task in load_task_table("open"):
        own = sorted((float(np.mean(values)), name) for (of, name), values in scores.items() if of == task.name)
        dice, name = own[len(own) // 2]
        case = next(case for case in held if (case["task"], case["name"]) == (task.name, name))
        title = f"{task.name} ({task.channels[-1]}): Dice {dice:.2f}"
        label_map = options.evaluation / "label_maps" / task.name / f"{name}.nii.gz"
        rows.append(PreviewRow(title, case["image"], case["label"], str(label_map)))
    save_preview(rows, options.picture)


if __name__ == "__main__":
    main()
