"""Does the network use its prompt? The same held CT scans with each prompt, against every organ's label map.

    python -m benchmarks.multitask.task_confusion OUT WEIGHTS [--cases 4]

Prints a Markdown table: rows are the prompt's task, columns the organ of the label map, cells the mean Dice.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import nibabel as nib
import numpy as np

from benchmarks.multitask.data import ORGANS
from uniseg_nets import Segmenter
from uniseg_nets.data import load_datalist
from uniseg_nets.io.bundles import bundle_folder

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("weights")
    parser.add_argument("--cases", type=int, default=4)
    options = parser.parse_args()
    held = load_datalist(options.output / "datalist.json", "validation")
    names = [case["name"] for case in held if case["task"] == "liver"][: options.cases]
    scans = {case["name"]: case["image"] for case in held}
    labels = {
        (case["name"], case["task"]): np.asarray(nib.Nifti1Image.from_filename(case["label"]).dataobj) > 0
        for case in held
    }
    print(f"| prompt | {' | '.join(ORGANS)} |\n|---|{'---|' * len(ORGANS)}")
    for task in ORGANS:
        segmenter = Segmenter(
            bundle_folder("uniseg_upstream"),
            task=task,
            tasks_file=str(HERE / "tasks.json"),
            weights=options.weights,
            label_values="task",
        )
        predictions = {name: segmenter(scans[name]) > 0 for name in names}
        cells = []
        for organ in ORGANS:
            pairs = [(predictions[name], labels[name, organ]) for name in names]
            cells.append(float(np.mean([2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in pairs])))
        print(f"| {task} | {' | '.join(f'{cell:.3f}' for cell in cells)} |", flush=True)


if __name__ == "__main__":
    main()
