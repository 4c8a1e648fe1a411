"""A whole CT, file in, file out: ours by mode and runtime beside a stock MONAI pipeline of the same network.

    python -m benchmarks.bench_case SCAN WEIGHTS [--repetitions 5] [--only "stock;balanced"] [--nnunet PYTHON]

SCAN is a CT; WEIGHTS any of ours, with `--task` and, where their tasks are not the official ones, `--tasks_file`;
PYTHON the interpreter of an environment with nnU-Net v2, whose predictor then takes part with a plain U-Net of the same
sizes (`benchmarks/nnunet/case.py`); mirrored, it runs once. The stock pipeline is what MONAI's bundles do:
``Spacingd``, ``SlidingWindowInferer`` with a Gaussian and half overlap, softmax, ``Invertd``, argmax, ``SaveImaged``,
in float32. Eight bits, to be named in `--only`, need `uniseg calibrate` with these weights first. Every contestant runs
in a process of its own, in turn with the others; medians of seconds, largest peak memory. Imports, the weights' reading
and a first window count for nobody, as in a folder's second case.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from monai import transforms as mt
from monai.bundle import ConfigParser
from monai.data import DataLoader, Dataset, decollate_batch
from monai.inferers import SlidingWindowInferer

from benchmarks.measure import apart, machine, timed
from uniseg_nets import UniSeg
from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.io.files import read_json
from uniseg_nets.tasks import load_task_table
from uniseg_nets.weights.checkpoints import read_weights

_CONFIGS = bundle_folder("uniseg_upstream") / "configs"
_TORCH = {"runtime": "torch", "precision": "fp32"}
_FAST = read_json(_CONFIGS / "fast.json")
VARIANTS: dict[str, dict[str, Any] | None] = {
    "stock": None,
    "balanced, torch fp32": _TORCH,
    "balanced, torch bf16": {"runtime": "torch", "precision": "bf16"},
    "balanced, OpenVINO fp32": {"runtime": "openvino", "precision": "fp32"},
    "balanced": {"runtime": "openvino"},
    "balanced, OpenVINO int8": {"runtime": "openvino", "precision": "int8"},
    "balanced, coarse pass": {"coarse_pass": _FAST["coarse_pass"], "runtime": "openvino"},
    "fast": {**_FAST, "runtime": "openvino"},
    "fast, OpenVINO int8": {**_FAST, "runtime": "openvino", "precision": "int8"},
    "fast, torch bf16": {**_FAST, "runtime": "torch", "precision": "bf16"},
}
NNUNET = {"nnU-Net v2": (), "nnU-Net v2, mirroring": ("--mirror",)}
PARTS = ("preprocessing", "network", "export")


class Stock:
    """What MONAI's bundles do, with UniSeg as the network: from a file to a file in ``output``."""

    def __init__(self, weights: str, output: str, task_name: str, tasks_file: str | None) -> None:
        checkpoint = read_weights(weights)
        self.network = UniSeg(**checkpoint.sizes, deep_supervision=False).eval()
        self.network.load_state_dict(checkpoint.state)
        self.task = load_task_table(tasks_file).one(task_name)
        self.window = checkpoint.sizes["patch_size"]
        self.inferer = SlidingWindowInferer(self.window, overlap=0.5, mode="gaussian")
        self.before = mt.Compose(
            [
                mt.LoadImaged("image", ensure_channel_first=True),
                mt.Orientationd("image", "RAS", labels=None),
                mt.Spacingd("image", self.task.spacing[::-1], mode="bilinear"),
                mt.ScaleIntensityRanged("image", -325, 325, 0, 1, clip=True),
                mt.Transposed("image", (0, 3, 2, 1)),
            ]
        )
        self.after = mt.Compose(
            [
                mt.Activationsd("pred", softmax=True),
                mt.Invertd("pred", self.before, orig_keys="image", nearest_interp=False),
                mt.AsDiscreted("pred", argmax=True),
                mt.SaveImaged("pred", output_dir=output, output_postfix="", output_dtype="uint8", print_log=False),
            ]
        )

    @torch.no_grad()
    def __call__(self, scan: str) -> tuple[float, ...]:
        """Seconds of the three parts."""
        start = time.perf_counter()
        (batch,) = DataLoader(Dataset([{"image": scan}], self.before))
        loaded = time.perf_counter()
        batch["pred"] = self.inferer(batch["image"], self.network, self.task.id)
        predicted = time.perf_counter()
        for case in decollate_batch(batch):
            self.after(case)
        return loaded - start, predicted - loaded, time.perf_counter() - predicted


def stock(scan: str, *given: Any) -> tuple[float, ...]:
    """Seconds of the three parts."""
    pipeline = Stock(*given)
    with torch.no_grad():
        pipeline.network(torch.zeros(1, 1, *pipeline.window), pipeline.task.id)
    return pipeline(scan)


def ours(
    scan: str, weights: str, output: str, task_name: str, tasks_file: str | None, settings: dict[str, Any]
) -> tuple[float, ...]:
    """Seconds of the three parts, from the bundle's own configuration."""
    parser = ConfigParser()
    parser.read_config(str(_CONFIGS / "inference.json"))
    parser.update({"bundle_root": str(_CONFIGS.parent), "task": task_name, "weights": weights, "output_dir": output})
    parser.update({**read_weights(weights).overrides(), "tasks_file": tasks_file, **settings})
    network, inferer = parser.get_parsed_content("network"), parser.get_parsed_content("inferer")
    before, after = parser.get_parsed_content("preprocessing"), parser.get_parsed_content("postprocessing")
    windows = parser.get_parsed_content("sliding_window")
    with torch.no_grad():
        windows.predict_window(torch.zeros(1, 1, *windows.roi_size), network, windows.tasks)
        start = time.perf_counter()
        case = before({"image": scan, "name": "case"})
        loaded = time.perf_counter()
        case["pred"] = inferer(case["image"][None], network)[0]
        predicted = time.perf_counter()
        after(case)
    return loaded - start, predicted - loaded, time.perf_counter() - predicted


def nnunet(python: str, scan: str, output: str, options: Sequence[str]) -> tuple[float, ...]:
    """Seconds of the three parts and peak GiB, in an environment of its own."""
    script = Path(__file__).with_name("nnunet") / "case.py"
    command = [python, str(script), scan, output, *options]
    folders = dict.fromkeys(("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"), output)
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, **folders})
    return tuple(json.loads(result.stdout.splitlines()[-1]))


def run(variant: str, options: argparse.Namespace) -> tuple[float, ...]:
    """Seconds of the three parts and peak GiB of a variant."""
    with tempfile.TemporaryDirectory() as output:
        if variant in NNUNET:
            return nnunet(options.nnunet, options.scan, output, NNUNET[variant])
        settings = VARIANTS[variant]
        given = (options.scan, options.weights, output, options.task, options.tasks_file)
        return apart(stock, *given) if settings is None else apart(ours, *given, settings)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scan")
    parser.add_argument("weights")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--only", help="variants, separated by semicolons; all by default")
    parser.add_argument("--task", default="spleen")
    parser.add_argument("--tasks_file")
    parser.add_argument("--nnunet", help="interpreter of an environment with nnunetv2")
    options = parser.parse_args()
    names = options.only.split(";") if options.only else [*timed(VARIANTS), *(NNUNET if options.nnunet else ())]
    seconds: dict[str, list[tuple[float, ...]]] = {name: [] for name in names}
    peaks = dict.fromkeys(names, 0.0)
    for repetition in range(options.repetitions):
        for name in names:
            if repetition and "mirroring" in name:
                continue
            *parts, peak = run(name, options)
            print(repetition, name, *(f"{part:.1f} s" for part in parts), f"{peak:.1f} GiB", file=sys.stderr)
            seconds[name].append(tuple(parts))
            peaks[name] = max(peaks[name], peak)
    print(f"{machine()}\n{Path(options.scan).name}, {Path(options.weights).name}, {options.repetitions} repetitions\n")
    print(f"| variant | {' | '.join(f'{part} s' for part in PARTS)} | all s | against {names[0]} | peak GiB |")
    print(f"|---|{'---|' * (len(PARTS) + 3)}")
    totals = {name: statistics.median(map(sum, runs)) for name, runs in seconds.items()}
    for name, runs in seconds.items():
        cells = " | ".join(f"{statistics.median(part):.1f}" for part in zip(*runs))
        ratio = totals[names[0]] / totals[name]
        print(f"| {name} | {cells} | {totals[name]:.1f} | {ratio:.1f}x | {peaks[name]:.1f} |")


if __name__ == "__main__":
    main()
