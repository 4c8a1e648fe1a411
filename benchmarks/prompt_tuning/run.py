"""An old centre's network meets a new centre: prompts, head, decoder, everything, nothing, on few and all new cases.

    UNISEG_TEST_DATA=DIR python -m benchmarks.prompt_tuning.run OUT [--seeds 0 1] [--base_epochs 40] [--epochs 4]

Old: DIR/data/cardiac_mr_centre_a, 36 scans to train on, 12 held. New: cardiac_mr_centre_b, 18 to draw from, 9 held.
Drawn by seed 2023. Every variant makes the same number of steps, and its last weights are evaluated, so that the held
cases choose nothing. Adds rows to ``OUT/results.csv``; what stands there is not run again.
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
import torch
from monai.bundle import ConfigWorkflow

from benchmarks.results import append_row, read_rows
from uniseg_nets.bundle import bundle_folder
from uniseg_nets.checkpoints import save_weights
from uniseg_nets.freezing import TrainedPart

HERE = Path(__file__).parent
SEED = 2023
OLD, NEW = "cardiac_mr_centre_a", "cardiac_mr_centre_b"
HELD = {OLD: 12, NEW: 9}
SIZES: dict[str, int | None] = {"3": 3, "8": 8, "all": None}
# Fewer prompts than by default, so that they stay below 1 % of the small network.
_PROMPTS = {"num_prompts": 20}
VARIANTS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "shallow prompts": (["shallow.json"], {}),
    "deep prompts": ([], _PROMPTS),
    "deep prompts and head": (["with_head.json"], _PROMPTS),
    "head": (["head_only.json"], {}),
    "decoder": (["decoder_only.json"], {}),
    "everything": (["full_finetune.json"], {}),
    "from scratch": (["full_finetune.json"], {"base_weights": None}),
}
FIELDS = ("variant", "size", "seed", "new_dice", "old_dice", "trained", "parameters", "file_bytes", "seconds")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--base_epochs", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    root = Path(os.environ["UNISEG_TEST_DATA"]) / "data"
    cases = {centre: _split(root / centre, held) for centre, held in HELD.items()}
    results = options.output / "results.csv"
    done = {(row["variant"], row["size"], row["seed"]) for row in read_rows(results)}
    for seed in options.seeds:
        base = options.output / f"base_seed{seed}"
        if not (base / "last.pt").is_file():
            _train(base, cases[OLD][0], ["train_base.json"], seed, options.base_epochs)
        if ("none", "0", str(seed)) not in done:
            network = _base(base / "last.pt")
            append_row(results, FIELDS, _row("none", "0", seed, network, cases, base / "direct"))
        for size, count in SIZES.items():
            for variant in options.variants:
                if (variant, size, str(seed)) in done:
                    continue
                folder = options.output / f"{variant.replace(' ', '_')}_{size}_{seed}"
                overlays, more = VARIANTS[variant]
                start = time.perf_counter()
                more = {"base_weights": str(base / "last.pt"), **more}
                network = _train(folder, cases[NEW][0][:count], overlays, seed, options.epochs, **more)
                seconds = round(time.perf_counter() - start)
                row = _row(variant, size, seed, network, cases, folder) | {"seconds": seconds}
                append_row(results, FIELDS, row)
                print(row, flush=True)


def _split(folder: Path, held: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Cases to train on and cases held, in an order drawn by the seed."""
    names = sorted(path.name.removesuffix(".nii.gz") for path in (folder / "labelsTr").glob("*.nii.gz"))
    drawn = [str(name) for name in np.random.default_rng(SEED).permutation(names)]
    cases = [
        {
            "name": name,
            "image": [str(folder / "imagesTr" / f"{name}_0000.nii.gz")],
            "label": str(folder / "labelsTr" / f"{name}.nii.gz"),
            "task": "heart",
        }
        for name in drawn
    ]
    return cases[held:], cases[:held]


def _options(folder: Path, seed: int) -> dict[str, Any]:
    root = bundle_folder("unetr_prompt_tuning")
    options: dict[str, Any] = {"logging_file": False, "workflow_type": "train", "bundle_root": str(root), "seed": seed}
    options |= {"output_dir": str(folder), "ckpt_dir": str(folder), "best_dir": str(folder)}
    options |= {"cache_dir": str(folder.parent / "cache"), "tasks_file": str(HERE / "tasks.json")}
    return options | json.loads((HERE / "experiment.json").read_text())


def _files(*overlays: str) -> list[str]:
    return [str(bundle_folder("unetr_prompt_tuning") / "configs" / name) for name in ("train.json", *overlays)]


def _train(
    folder: Path, cases: list[dict[str, Any]], overlays: list[str], seed: int, epochs: int, **more: Any
) -> torch.nn.Module:
    options = _options(folder, seed) | {"max_epochs": epochs, "val_interval": epochs + 1}
    training = ConfigWorkflow(
        _files(*overlays), **options, **more, **{"train#cases": cases, "validate#cases": cases[:1], "resume": True}
    )
    training.initialize()
    training.run()
    network: torch.nn.Module = training.parser.get_parsed_content("network")
    save_weights(network.state_dict(), folder / "last.pt")
    return network


def _base(weights: Path) -> torch.nn.Module:
    """The base's network as it is."""
    options = _options(weights.parent, 0) | {"num_prompts": 0, "trained": [], "base_weights": str(weights)}
    network: torch.nn.Module = ConfigWorkflow(_files(), **options).parser.get_parsed_content("network")
    return network


def _row(
    variant: str, size: str, seed: int, network: torch.nn.Module, cases: dict[str, Any], folder: Path
) -> dict[str, Any]:
    dice = {centre: _evaluate(network, cases[centre][1], folder / f"eval_{centre}") for centre in (NEW, OLD)}
    part = folder / "part.pt"
    save_weights(TrainedPart(network).state_dict(), part)
    return {
        "variant": variant,
        "size": size,
        "seed": seed,
        "new_dice": dice[NEW],
        "old_dice": dice[OLD],
        "trained": sum(p.numel() for p in network.parameters() if p.requires_grad) if variant != "none" else 0,
        "parameters": sum(p.numel() for p in network.parameters()),
        "file_bytes": part.stat().st_size if variant != "none" else 0,
        "seconds": 0,
    }


def _evaluate(network: torch.nn.Module, cases: list[dict[str, Any]], folder: Path) -> float:
    """Mean Dice over the classes."""
    options = _options(folder, 0) | {"overlap": 0.25, "weights": None, "report#worst": 0}
    evaluation = ConfigWorkflow(
        _files("evaluate.json"), **options, **{"validate#network": network.eval(), "validate#cases": cases}
    )
    evaluation.run()
    rows = csv.DictReader((folder / "summary.csv").open())
    return round(float(np.mean([float(row["dice"]) for row in rows])), 4)


if __name__ == "__main__":
    main()
