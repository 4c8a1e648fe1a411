"""What modes, runtimes and shortcuts cost: voxels and Dice against float32 with mirroring, on scans held from training.

    python -m benchmarks.agreement DATALIST WEIGHTS --tasks_file TASKS [--cases 4] [--tasks liver,spleen]

Each variant is the bundle's inference with other settings. Dice is against the reference label map; its change is the
mean over cases and classes of a task against ``accurate``. Seconds are of one pass over the cases, not of a timing run.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import machine, timed
from uniseg_nets.bundle.segmenter import Segmenter
from uniseg_nets.data import load_datalist
from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.io.files import read_json

_CONFIGS = bundle_folder("uniseg_upstream") / "configs"
_TORCH = {"runtime": "torch", "precision": "fp32"}
_FAST = read_json(_CONFIGS / "fast.json")
VARIANTS: dict[str, dict[str, Any]] = {
    "accurate, torch": {**read_json(_CONFIGS / "accurate.json"), **_TORCH},
    "accurate, OpenVINO": {**read_json(_CONFIGS / "accurate.json"), "runtime": "openvino"},
    "balanced, torch fp32": _TORCH,
    "balanced, torch bf16": {"runtime": "torch", "precision": "bf16"},
    "balanced, OpenVINO fp32": {"runtime": "openvino", "precision": "fp32"},
    "balanced, OpenVINO bf16": {"runtime": "openvino", "precision": "bf16"},
    "balanced, body only": {"body_only": True},
    "balanced, early exit": {"early_exit": _FAST["early_exit"]},
    "balanced, coarse pass": {"coarse_pass": _FAST["coarse_pass"]},
    "balanced, overlap 0.25": {"overlap": 0.25},
    "fast": _FAST,
    "balanced, coarse pass and mirroring": {"coarse_pass": _FAST["coarse_pass"], "mirror": True},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datalist")
    parser.add_argument("weights")
    parser.add_argument("--tasks_file")
    parser.add_argument("--cases", type=int, default=4, help="of each task")
    parser.add_argument("--tasks", help="comma-separated; all by default")
    options = parser.parse_args()
    members: dict[str, list[dict[str, Any]]] = {}
    for case in load_datalist(options.datalist, "validation"):
        members.setdefault(case["task"], []).append(case)
    chosen = options.tasks.split(",") if options.tasks else list(members)
    print(f"{machine()}\n{options.cases} held cases of each of {', '.join(chosen)}\n")
    print("| variant | voxels as accurate | Dice | change | largest change of a task | s |\n|---|---|---|---|---|---|")
    accurate: dict[str, list[NDArray[np.uint8]]] = {}
    baseline: dict[str, float] = {}
    for name, settings in timed(VARIANTS).items():
        dice, equal, seconds = {}, [], 0.0
        for task in chosen:
            cases = members[task][: options.cases]
            segmenter = Segmenter(
                _CONFIGS.parent,
                task=task,
                weights=options.weights,
                tasks_file=options.tasks_file,
                label_values="task",
                **settings,
            )
            start = time.perf_counter()
            predictions = [segmenter(case["image"]) for case in cases]
            seconds += time.perf_counter() - start
            accurate.setdefault(task, predictions)
            equal += [float((one == other).mean()) for one, other in zip(predictions, accurate[task])]
            references = [np.asarray(nib.load(case["label"]).dataobj) for case in cases]
            dice[task] = float(np.mean([_dice(*pair) for pair in zip(predictions, references)]))
        baseline = baseline or dice
        changes = [dice[task] - baseline[task] for task in chosen]
        print(
            f"| {name} | {np.mean(equal):.4%} | {np.mean(list(dice.values())):.4f} | {np.mean(changes):+.4f} "
            f"| {max(changes, key=abs):+.4f} | {seconds:.0f} |",
            flush=True,
        )


def _dice(prediction: NDArray[np.uint8], reference: NDArray[Any]) -> float:
    """Mean over the reference's classes."""
    values = np.unique(reference[reference > 0])
    pairs = [(prediction == value, reference == value) for value in values]
    return float(np.mean([2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in pairs]))


if __name__ == "__main__":
    main()
