"""Trains one variant by the bundle's own training configuration and evaluates it on the held cases.

    python -m benchmarks.multitask.run OUT VARIANT --seed 0 [--epochs 60] [--tasks liver,kidney]

Writes ``OUT/VARIANT_seedN/``: ``curve.csv`` (epoch, mean Dice on every fourth held case), ``summary.csv``, label maps.
"""

from __future__ import annotations

import argparse
import csv
import logging
import time
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.bundle import ConfigWorkflow

from benchmarks.multitask.networks import VARIANTS
from uniseg_nets.data import load_datalist
from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.tasks import load_task_table
from uniseg_nets.weights.checkpoints import save_weights

HERE = Path(__file__).parent
logger = logging.getLogger(__name__)


def workflow(output: Path, folder: Path, overlays: list[str], **overrides: Any) -> ConfigWorkflow:
    root = bundle_folder("uniseg_upstream")
    files = [str(root / "configs" / name) for name in ("train.json", *overlays)] + [str(HERE / "experiment.json")]
    options: dict[str, Any] = {
        "tasks_file": str(HERE / "tasks.json"),
        "dataset_dir": str(output),
        "bundle_root": str(root),
    }
    options |= {"output_dir": str(folder), "ckpt_dir": str(folder), "cache_dir": str(output / "cache"), "resume": True}
    return ConfigWorkflow(files, workflow_type="train", logging_file=False, **(options | overrides))


def train(output: Path, folder: Path, variant: str, cases: dict[str, Any], **overrides: Any) -> torch.nn.Module:
    """Trains on the cases given; the curve, on every fourth held case, goes to ``folder/curve.csv``.

    What was trained before is read from ``folder/last.pt``, what was stopped goes on from its last epoch.
    """
    target = f"benchmarks.multitask.networks.{VARIANTS[variant].__name__}"
    options = {"network_def#_target_": target, "network_def#distinct_prompt_init": variant.endswith("spread")}
    options |= {"train#cases": cases["train"], "validate#cases": cases["validate"][::4]}
    run = workflow(output, folder, [], **options, **overrides)
    if (folder / "last.pt").is_file():
        network: torch.nn.Module = run.parser.get_parsed_content("network")
        network.load_state_dict(torch.load(folder / "last.pt", weights_only=True))
        return network
    run.initialize()  # builds all parts anew: the network that is trained is there only now
    network = run.parser.get_parsed_content("network")
    evaluator = run.parser.get_parsed_content("validate#evaluator")
    evaluator.add_event_handler(Events.COMPLETED, lambda engine: _append_to(folder / "curve.csv", engine))
    run.run()
    save_weights(network.state_dict(), folder / "last.pt")
    return network


def _append_to(curve: Path, engine: Engine) -> None:
    with curve.open("a", newline="") as file:
        csv.writer(file).writerow((engine.state.epoch, round(engine.state.metrics["val_mean_dice"], 4)))


def evaluate(output: Path, folder: Path, network: torch.nn.Module, cases: list[dict[str, Any]]) -> None:
    """Full-resolution figures of the held cases, with the last weights: no choice by the held cases."""
    run = workflow(
        output,
        folder,
        ["evaluate.json"],
        **{"validate#network": network.eval(), "validate#cases": cases, "weights": str(folder / "last.pt")},
        overlap=0.25,
    )
    run.run()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("variant", choices=VARIANTS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--tasks", help="comma-separated tasks to learn and evaluate; all by default")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    output, variant = arguments.output, arguments.variant
    folder = output / f"{variant}_seed{arguments.seed}"
    known = [task.name for task in load_task_table(HERE / "tasks.json")]
    chosen = arguments.tasks.split(",") if arguments.tasks else known
    lists = {"train": "training", "validate": "validation"}
    cases = {
        key: [case for case in load_datalist(output / "datalist.json", section) if case["task"] in chosen]
        for key, section in lists.items()
    }
    names = chosen if variant == "single" else [None]
    start = time.perf_counter()
    for name in names:
        own = {key: [case for case in members if name in (None, case["task"])] for key, members in cases.items()}
        part = folder if name is None else folder / name
        network = train(output, part, variant, own, seed=arguments.seed, max_epochs=arguments.epochs)
        evaluate(output, part, network, own["validate"])
    logger.info("%s seed %d: %.0f s", variant, arguments.seed, time.perf_counter() - start)


if __name__ == "__main__":
    main()
