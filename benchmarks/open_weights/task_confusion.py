"""Does the network use its prompt? Held-out scans of each task, with the prompt of every task.

    python -m benchmarks.open_weights.task_confusion DATA WEIGHTS [--cases 6]

A scan is scaled and resampled for its own task, and the decoder gets the prompt of another one. Prints two Markdown
tables: rows are the task of the prompt, columns the scans; cells are the mean Dice of all foreground against the
reference, and the mean predicted volume as a share of the reference volume.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch

from uniseg_nets import UniSeg
from uniseg_nets.data import load_datalist
from uniseg_nets.inferers.sliding_window import UniSegInferer
from uniseg_nets.tasks import load_task_table
from uniseg_nets.transforms import LoadCased, PreprocessCased
from uniseg_nets.weights.checkpoints import load_network, read_weights


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--cases", type=int, default=6)
    options = parser.parse_args()
    tasks = load_task_table("open")
    sizes = read_weights(options.weights).sizes
    network = load_network(UniSeg(**sizes), options.weights).eval()
    inferer = UniSegInferer(tasks, roi_size=sizes["patch_size"])
    load = LoadCased(keys=["image", "label"])
    preprocess = PreprocessCased(keys=["image", "label"], tasks=tasks)
    held = load_datalist(options.data / "datalist.json", "validation", options.data)
    dice = np.zeros((len(tasks), len(tasks)))
    volume = np.zeros_like(dice)
    for scanned in tasks:
        cases = [case for case in held if case["task"] == scanned.name][: options.cases]
        for case in (preprocess(load(dict[Any, Any](case))) for case in cases):
            reference = case["label"].as_tensor()[0].numpy() > 0
            for prompted in tasks:
                prediction = inferer(case["image"].as_tensor()[None], network, prompted.name)[0].argmax(0).numpy() > 0
                shared = (prediction & reference).sum()
                dice[prompted.id, scanned.id] += 2 * shared / (prediction.sum() + reference.sum()) / len(cases)
                volume[prompted.id, scanned.id] += prediction.sum() / reference.sum() / len(cases)
    for title, cells in (("Dice", dice), ("volume", volume)):
        print(f"| {title}: prompt | {' | '.join(f'{task.name} scan' for task in tasks)} |\n|---|{'---|' * len(tasks)}")
        for task in tasks:
            print(f"| {task.name} | {' | '.join(f'{cell:.3f}' for cell in cells[task.id])} |")
        print()


if __name__ == "__main__":
    main()
