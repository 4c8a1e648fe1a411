"""Trains every variant on few, more and all cases of one data set, and evaluates it on the cases held.

    UNISEG_TEST_DATA=DIR python -m benchmarks.finetune.run OUT DATASET --weights MULTITASK.pt [--seeds 0 1] [--epochs 4]

The same steps as a user's: a plan, then training and evaluation by the bundle with it. Held are the cases that
`benchmarks.multitask.data` held (seed 2023), which the multi-task weights never saw; for data on which those did not
train, four cases drawn by the same seed. Adds rows to ``OUT/DATASET.csv``; what stands there is not run again.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from monai.bundle import ConfigWorkflow

from benchmarks.multitask.data import SEED, held_cases
from benchmarks.results import append_row, read_rows
from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.plan import PlanOptions, plan_dataset
from uniseg_nets.weights.checkpoints import save_weights

HERE = Path(__file__).parent
logger = logging.getLogger(__name__)

VARIANTS = {
    "from scratch": ["from_scratch.json"],
    "fine-tuned": [],
    "prompt cut off": [],
    "frozen encoder": ["freeze_encoder.json"],
    "prompt only": ["prompt_only.json"],
    "norms only": ["norms_only.json"],
}
_WITHOUT_PROMPT = ("prompt cut off",)  # planned with the slot "none"
# The multi-task network's task that is nearest (its id there), for the prompt.
SLOTS = {"abdomen_mr": 0, "hippocampus_mr": 6, "prostate_mr": 4}
# In-plane mm where the plan's are finer: about the multi-task training's, and affordable on two cores.
COARSER = {"abdomen_mr": 2.0, "prostate_mr": 1.5}
SIZES = {"5": 5, "10": 10, "all": None}
# GiB for a training step: gives patches of 16 x 64 x 96 and 48 x 64 x 32 with 8 features.
_MEMORY = 0.3
FIELDS = ("dataset", "variant", "size", "cases", "seed", "dice", "seconds", "trained", "parameters")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("dataset", choices=SLOTS)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--epochs", type=int, default=4)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    root = Path(os.environ["UNISEG_TEST_DATA"]) / "data" / arguments.dataset
    plan_path = arguments.output / f"{arguments.dataset}.json"
    plain, plan = (
        plan_dataset(root, plan_path, PlanOptions(weights=arguments.weights, slot=slot, memory_gib=_MEMORY))
        for slot in ("none", SLOTS[arguments.dataset])
    )
    spacing = plan["task_entry"]["spacing"]
    plan["task_entry"]["spacing"] = [max(mm, COARSER.get(arguments.dataset, 0)) for mm in spacing]
    held = held_cases(root)
    order = [str(name) for name in np.random.default_rng(SEED).permutation([case["name"] for case in plan["data"]])]
    train = [name for name in order if name not in held]
    results = arguments.output / f"{arguments.dataset}.csv"
    done = {tuple(row[key] for key in FIELDS[:5]) for row in read_rows(results)}
    for seed in arguments.seeds:
        for size, count in SIZES.items():
            names = train[:count]
            if count is not None and len(names) < count:
                continue
            for case in plan["data"]:  # fold 0: held; 1: trained on; others: left out
                case["fold"] = 0 if case["name"] in held else 1
            chosen = [case for case in plan["data"] if case["name"] in held or case["name"] in names]
            for variant, overlays in VARIANTS.items():
                key = (arguments.dataset, variant, size, str(len(names)), str(seed))
                row: dict[str, Any] = dict(zip(FIELDS, key))
                if key in done:
                    continue
                folder = arguments.output / arguments.dataset / f"{variant.replace(' ', '_')}_{size}_{seed}"
                own = arguments.output / arguments.dataset / "plan.json"
                own.parent.mkdir(parents=True, exist_ok=True)
                network = plain if variant in _WITHOUT_PROMPT else plan
                own.write_text(json.dumps(network | {"task_entry": plan["task_entry"], "data": chosen}))
                row |= _run(root, folder, own, overlays, seed, arguments.epochs)
                append_row(results, FIELDS, row)
                print(row, flush=True)


def _run(root: Path, folder: Path, plan: Path, overlays: list[str], seed: int, epochs: int) -> dict[str, Any]:
    """Trains for a fixed number of steps and evaluates the last weights, so that the held cases choose nothing."""
    bundle = bundle_folder("uniseg_finetune")
    files = [str(bundle / "configs" / "train.json"), str(plan)]
    files += [str(bundle / "configs" / name) for name in ("small.json", *overlays)]
    options: dict[str, Any] = {"logging_file": False, "bundle_root": str(bundle), "dataset_dir": str(root)}
    options |= {"output_dir": str(folder), "ckpt_dir": str(folder), "cache_dir": str(folder.parent / "cache")}
    options |= {"seed": seed, "max_epochs": epochs, "val_interval": epochs}
    options |= json.loads((HERE / "experiment.json").read_text())
    start = time.perf_counter()
    training = ConfigWorkflow(files, workflow_type="train", **options)
    training.initialize()
    training.run()
    seconds = time.perf_counter() - start
    network = training.parser.get_parsed_content("network")
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in network.parameters()]
    files.append(str(bundle / "configs" / "evaluate.json"))
    save_weights(network.state_dict(), folder / "last.pt")
    options |= {"weights": str(folder / "last.pt"), "validate#network": network.eval(), "report#worst": 2}
    evaluation = ConfigWorkflow(files, workflow_type="train", overlap=0.25, **options)
    evaluation.run()
    dice = [float(row["dice"]) for row in csv.DictReader((folder / "summary.csv").open())]
    return {
        "dice": round(float(np.mean(dice)), 4),
        "seconds": round(seconds),
        "trained": sum(count for count, trained in sizes if trained),
        "parameters": sum(count for count, _ in sizes),
    }


if __name__ == "__main__":
    main()
