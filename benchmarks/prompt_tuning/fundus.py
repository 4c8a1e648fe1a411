"""The same in 2D: vessels of the retina, DRIVE (old centre) to CHASE (new centre), with a 2D UNETR.

    UNISEG_TEST_DATA=DIR python -m benchmarks.prompt_tuning.fundus OUT [--seeds 0 1] [--base_epochs 12] [--epochs 3]

Old: DIR/data/images_2d/fundus_vessel_drive, 24 images to train on, 8 held. New: fundus_vessel_chase, 8 and 15. Drawn by
seed 2023, both eyes of a child on one side. Images, augmentation and training are those of the bundle esp_medsam_2d;
``fundus.json`` puts another network into it. 50 steps of four images an epoch; the last weights are evaluated. Adds
rows to ``OUT/results.csv``.
"""

from __future__ import annotations

import argparse
import logging
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigWorkflow
from monai.metrics import compute_dice

from benchmarks.esp_medsam.run import entries_of
from benchmarks.prompt_tuning.run import FIELDS, adaptation_row
from benchmarks.results import append_row, read_rows
from uniseg_nets.data.groups import hold_out
from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.io.files import write_json
from uniseg_nets.weights.checkpoints import save_weights

HERE = Path(__file__).parent
SEED = 2023
CENTRES = {"old": ("fundus_vessel_drive", 8), "new": ("fundus_vessel_chase", 15)}
_BASE_LEARNING_RATE, _PROMPT_LEARNING_RATE, _LEARNING_RATE = 1e-3, 1e-2, 1e-4
# As many as stay below 1 % of this network.
_PROMPTS = {"num_prompts": 16, "learning_rate": _PROMPT_LEARNING_RATE}
_DECODER = ["decoder5", "decoder4", "decoder3", "decoder2", "out"]
VARIANTS: dict[str, dict[str, Any]] = {
    "shallow prompts": {"trained": ["vit.prompts"], **_PROMPTS, "num_prompts": 100, "mode": "shallow"},
    "deep prompts": {"trained": ["vit.prompts"], **_PROMPTS},
    "deep prompts and head": {"trained": ["vit.prompts", "out"], **_PROMPTS},
    "head": {"trained": ["out"], "learning_rate": _PROMPT_LEARNING_RATE},
    "decoder": {"trained": _DECODER, "learning_rate": _LEARNING_RATE},
    "everything": {"learning_rate": _LEARNING_RATE},
    "from scratch": {"learning_rate": _BASE_LEARNING_RATE},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--base_epochs", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    output = options.output
    write_datalists(Path(os.environ["UNISEG_TEST_DATA"]) / "data" / "images_2d", output)
    done = {(row["variant"], row["seed"]) for row in read_rows(output / "results.csv")}
    for seed in options.seeds:
        base = output / f"base_seed{seed}" / "last.pt"
        if not base.is_file():
            _train(base.parent, "old", seed, options.base_epochs, learning_rate=_BASE_LEARNING_RATE)
        if ("none", str(seed)) not in done:
            network = _workflow(base.parent, "new", seed, base_weights=str(base)).parser.get_parsed_content(
                "loaded_network"
            )
            append_row(output / "results.csv", FIELDS, _row("none", "0", seed, network, output))
        for variant, more in VARIANTS.items():
            if (variant, str(seed)) in done:
                continue
            start = time.perf_counter()
            folder = output / f"{variant.replace(' ', '_')}_{seed}"
            weights = None if variant == "from scratch" else str(base)
            network = _train(folder, "new", seed, options.epochs, base_weights=weights, **more)
            seconds = round(time.perf_counter() - start)
            row = _row(variant, "all", seed, network, output, seconds)
            append_row(output / "results.csv", FIELDS, row)
            print(row, flush=True)


def write_datalists(images: Path, output: Path) -> None:
    for centre, (folder, held) in CENTRES.items():
        entries = entries_of(images / folder, "fundus")
        trained, tested = hold_out([_person(Path(entry["image"])) for entry in entries], held, SEED)
        sides = {"validation": tested, "training": trained}
        content = {section: [entries[index] for index in side] for section, side in sides.items()}
        write_json(output / f"{centre}.json", content)


def _person(image: Path) -> str:
    """In CHASE images 2N and 2N + 1 are the left and right eye of one child; in DRIVE each is of another person."""
    folder, _, number = image.stem.rpartition("_")
    return f"{folder}_{int(number) // 2}" if folder == CENTRES["new"][0] else image.stem


def _workflow(folder: Path, centre: str, seed: int, **more: Any) -> ConfigWorkflow:
    root = bundle_folder("esp_medsam_2d")
    options = {"logging_file": False, "workflow_type": "train", "bundle_root": str(root), "seed": seed, "resume": True}
    options |= {"output_dir": str(folder), "ckpt_dir": str(folder), "best_dir": str(folder)}
    options |= {"cache_dir": str(folder.parent / "cache"), "datalist": str(folder.parent / f"{centre}.json")}
    return ConfigWorkflow([str(root / "configs" / "train.json"), str(HERE / "fundus.json")], **options, **more)


def _train(folder: Path, centre: str, seed: int, epochs: int, **more: Any) -> torch.nn.Module:
    training = _workflow(folder, centre, seed, max_epochs=epochs, val_interval=epochs, **more)
    training.initialize()
    training.run()
    network: torch.nn.Module = training.parser.get_parsed_content("loaded_network")
    save_weights(network.state_dict(), folder / "last.pt")
    return network


def _row(
    variant: str, size: str, seed: int, network: torch.nn.Module, output: Path, seconds: int = 0
) -> dict[str, Any]:
    dice = {}
    for centre in CENTRES:
        held = _workflow(output / "held", centre, seed).parser.get_parsed_content("validate#dataset")
        with torch.no_grad():
            pairs = [(network.eval()(case["image"][None]) > 0, case["label"][None]) for case in held]
        dice[centre] = round(float(np.mean([compute_dice(*pair).item() for pair in pairs])), 4)
    return adaptation_row(variant, size, seed, network, (dice["new"], dice["old"]), output / "part.pt", seconds)


if __name__ == "__main__":
    main()
