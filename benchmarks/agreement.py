"""What modes, runtimes, flips and eight bits cost on held cases: Dice against seconds.

    python -m benchmarks.agreement DATALIST ROWS.csv [--weights open] [--tasks_file open] [--cases 100]
        [--only "balanced, OpenVINO fp32"]
    python -m benchmarks.agreement DATALIST ROWS.csv --table

Each variant is the bundle's inference with other settings, from the file to the label map. For eight bits the network
is first calibrated on windows of five cases of the training, a calibration per task; a task whose label maps then
differ too much from float32's, as Segmenter would refuse, gets no rows. A case's Dice is the mean over
the reference's classes. Seconds are those of the process on all its threads. A run that was stopped goes on; the table
compares each variant with ``balanced`` in float32: means over patients with 95 % bootstrap intervals.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import machine, timed
from benchmarks.results import append_row, read_rows, with_interval
from uniseg_nets.bundle.calibrate import calibrate_int8
from uniseg_nets.bundle.segmenter import Segmenter
from uniseg_nets.data import load_datalist
from uniseg_nets.data.groups import group_of
from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.io.files import read_json
from uniseg_nets.runtimes.int8 import LEAST_AGREEMENT
from uniseg_nets.study.figures import patient_means
from uniseg_nets.tasks import load_task_table

_CONFIGS = bundle_folder("uniseg_upstream") / "configs"
_FAST = read_json(_CONFIGS / "fast.json")
_TORCH = {"runtime": "torch", "precision": "fp32"}
_VINO = {"runtime": "openvino", "precision": "fp32"}
_CALIBRATION = 5  # cases of the training; a third of them is compared with float32
BASELINE = "balanced, OpenVINO fp32"
_EIGHT = "balanced, OpenVINO int8, weights of 8 bits"

VARIANTS: dict[str, dict[str, Any]] = {
    BASELINE: _VINO,
    "balanced, torch fp32": _TORCH,
    "balanced, torch bf16": {"runtime": "torch", "precision": "bf16"},
    "balanced, OpenVINO bf16": {"runtime": "openvino", "precision": "bf16"},
    "balanced, OpenVINO int8": {"runtime": "openvino", "precision": "int8"},
    _EIGHT: {"runtime": "openvino", "precision": "int8"},
    "overlap 0.25": {**_VINO, "overlap": 0.25},
    "coarse pass": {**_VINO, "coarse_pass": _FAST["coarse_pass"]},
    "fast": {**_FAST, **_VINO},
    "flips along x": {**_VINO, "mirror": True, "mirror_axes": "x"},
    "flips along y": {**_VINO, "mirror": True, "mirror_axes": "y"},
    "flips along z": {**_VINO, "mirror": True, "mirror_axes": "z"},
    "flips along x and y": {**_VINO, "mirror": True, "mirror_axes": "yx"},
    "all flips": {**_VINO, "mirror": True},
    "coarse pass and all flips": {**_VINO, "coarse_pass": _FAST["coarse_pass"], "mirror": True},
    "accurate, torch": {**read_json(_CONFIGS / "accurate.json"), **_TORCH},
}
FIELDS = ("variant", "task", "patient", "case", "dice", "seconds")


def measure(options: argparse.Namespace) -> None:
    """Adds the rows that the file lacks: variant by variant, task by task."""
    done = {(row["variant"], row["case"]) for row in read_rows(options.rows)}
    held = load_datalist(options.datalist, "validation")
    training = load_datalist(options.datalist, "training")
    tasks = load_task_table(options.tasks_file)
    variants = [name for name in VARIANTS if name in timed(VARIANTS) or VARIANTS[name]["precision"] == "int8"]
    for name in options.only.split(";") if options.only else variants:
        for task in tasks:
            cases = [case for case in held if case["task"] == task.name][: options.cases]
            left = [case for case in cases if (name, case["name"]) not in done]
            if not left:
                continue
            settings: dict[str, Any] = {"weights": options.weights, "tasks_file": options.tasks_file}
            if VARIANTS[name].get("precision") == "int8":
                own = [case["image"] for case in training if case["task"] == task.name][:_CALIBRATION]
                bits: dict[str, Any] = {"weight_bits": 8 if name == _EIGHT else 7}
                agreement = calibrate_int8(own, task.name, **bits, **settings)
                print(f"{task.name}: {agreement:.3f} as float32", flush=True)
                if agreement < LEAST_AGREEMENT:
                    continue
            settings |= {"task": task.name, "label_values": "task", **VARIANTS[name]}
            segmenter = Segmenter(_CONFIGS.parent, **settings)
            segmenter(left[0]["image"])  # what only the first case costs
            for case in left:
                start = time.process_time()
                prediction = segmenter(case["image"])
                seconds = time.process_time() - start
                dice = _dice(prediction, nib.Nifti1Image.from_filename(case["label"]).get_fdata())
                row = (name, task.name, group_of(case), case["name"], round(dice, 5), round(seconds, 2))
                append_row(options.rows, FIELDS, dict(zip(FIELDS, row)))


def _dice(prediction: NDArray[np.uint8], reference: NDArray[Any]) -> float:
    """Mean over the reference's classes."""
    values = np.unique(reference[reference > 0])
    pairs = [(prediction == value, reference == value) for value in values]
    return float(np.mean([2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in pairs]))


def print_table(rows: list[dict[str, str]]) -> None:
    """Per variant and task: change of Dice against the baseline with its interval, and seconds as a share of its."""
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    dice = {(row["variant"], row["case"]): float(row["dice"]) for row in rows}
    seconds = {(row["variant"], row["case"]): float(row["seconds"]) for row in rows}
    print(f"| variant | {' | '.join(tasks)} | seconds |\n|---|{'---|' * (len(tasks) + 1)}")
    for name in dict.fromkeys(row["variant"] for row in rows):
        cells = []
        own = [row for row in rows if row["variant"] == name and (BASELINE, row["case"]) in dice]
        for task in tasks:
            changes: dict[tuple[str, str], float] = {}
            for row in own:
                if row["task"] == task:
                    reference = 0.0 if name == BASELINE else dice[BASELINE, row["case"]]
                    changes[row["patient"], row["case"]] = dice[name, row["case"]] - reference
            means = patient_means(changes)
            if name == BASELINE:
                cells.append(f"{np.mean(means):.3f}")
            else:
                cells.append(with_interval(means, "+") if len(means) else "")
        spent = sum(seconds[name, row["case"]] for row in own) / sum(seconds[BASELINE, row["case"]] for row in own)
        print(f"| {name} | {' | '.join(cells)} | {spent:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datalist")
    parser.add_argument("rows", type=Path)
    parser.add_argument("--weights", default="open")
    parser.add_argument("--tasks_file", default="open", help="the task table of the weights")
    parser.add_argument("--only", help="names of variants, separated by semicolons")
    parser.add_argument("--cases", type=int, default=100, help="held cases of each task, at most")
    parser.add_argument("--table", action="store_true", help="print the table of the rows, and run nothing")
    options = parser.parse_args()
    if options.table:
        print_table(read_rows(options.rows))
    else:
        print(machine())
        measure(options)


if __name__ == "__main__":
    main()
