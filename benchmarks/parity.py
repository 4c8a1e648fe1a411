"""Agreement with the official release: the bundle command against label maps of the authors' own pipeline.

    UNISEG_TEST_DATA=DIR python -m benchmarks.parity [--cases ct_sm_liver,...] [--runtime openvino]

DIR/parity holds ``cases.json``, a checkpoint and the official outputs. Prints a Markdown table: share of equal voxels,
Dice a foreground class of at least 1,000 voxels, seconds of the command.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from uniseg_nets.io.bundles import bundle_folder

_SMALLEST = 1000  # voxels of a class whose Dice is reported


def run_case(folder: Path, images: list[Path], task: str, output: Path, values: str, runtime: str = "torch") -> float:
    """Segments one case by the bundle command in its accurate mode; returns its seconds."""
    datalist = output / "datalist.json"
    output.mkdir(parents=True)
    datalist.write_text(json.dumps({"testing": [{"name": "case", "image": [str(path) for path in images]}]}))
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file"]
    command += ["['configs/inference.json','configs/accurate.json']", "--runtime", runtime]
    command += ["--dataset_dir", str(datalist), "--output_dir", str(output), "--task", task]
    command += ["--weights", str(folder / "official_tiny.pth"), "--label_values", values]
    command += ["--network_def#base_features", "8", "--network_def#max_features", "256"]
    start = time.perf_counter()
    subprocess.run(command, cwd=bundle_folder("uniseg_upstream"), check=True, capture_output=True)
    return time.perf_counter() - start


def compare(ours: NDArray[Any], official: NDArray[Any]) -> tuple[float, dict[int, float]]:
    """Share of equal voxels, and Dice of each label value of at least 1,000 voxels in the official map."""
    dice = {}
    for value in np.unique(official[official > 0]).tolist():
        a, b = ours == value, official == value
        if b.sum() >= _SMALLEST:
            dice[value] = 2 * float((a & b).sum()) / float(a.sum() + b.sum())
    return float((ours == official).mean()), dice


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", help="comma-separated names in cases.json; all by default")
    parser.add_argument("--runtime", default="torch")
    options = parser.parse_args()
    chosen = options.cases
    folder = Path(os.environ["UNISEG_TEST_DATA"]) / "parity"
    print("| official map | task | equal voxels | Dice a class | s |\n|---|---|---|---|---|")
    for case in json.loads((folder / "cases.json").read_text()):
        name = Path(case["golden"]).name.removesuffix(".nii.gz")
        if chosen and case["name"] not in chosen.split(","):
            continue
        task = case["task"]
        with tempfile.TemporaryDirectory() as temporary:
            output = Path(temporary) / "out"
            images = [folder / image for image in case["channels"]]
            seconds = run_case(folder, images, task, output, "global" if task == "all_ct" else "task", options.runtime)
            ours, official = map(nib.Nifti1Image.from_filename, (output / "case.nii.gz", folder / case["golden"]))
            equal, dice = compare(np.asarray(ours.dataobj), np.asarray(official.dataobj))
        scores = ", ".join(f"{value}: {score:.4f}" for value, score in dice.items())
        print(f"| {name} | {task} | {equal:.6%} | {scores} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
