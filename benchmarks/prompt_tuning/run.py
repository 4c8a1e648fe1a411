"""An old centre's network meets a new centre: prompts, head, decoder, everything, nothing, on few and all new cases.

    UNISEG_TEST_DATA=DIR python -m benchmarks.prompt_tuning.run OUT [--network unetr] [--seeds 0 1] [--base_epochs 80]
        [--epochs 4]

Old: DIR/data/cardiac_mr_centre_a, 36 scans to train on, 12 held. New: cardiac_mr_centre_b, 18 to draw from, 9 held.
Drawn by seed 2023, all scans of a patient on one side. Every variant makes the same number of steps, and its last
weights are evaluated, so that the held cases choose nothing. Adds rows to ``OUT/results.csv``; what stands there is not
run again.
``--network uniseg`` puts a UniSeg of one task in the UNETR's place, whose prompt is tuned: an OUT of its own.
"""

from __future__ import annotations

import argparse
import csv
import logging
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigWorkflow

from benchmarks.results import append_row, read_rows
from uniseg_nets.data.groups import hold_out, patients_of
from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.weights.checkpoints import save_weights
from uniseg_nets.weights.freezing import TrainedPart, trainable

HERE = Path(__file__).parent
SEED = 2023
OLD, NEW = "cardiac_mr_centre_a", "cardiac_mr_centre_b"
HELD = {OLD: 12, NEW: 9}
PATIENT = {OLD: r"patient\d+", NEW: ".+"}  # of a scan, by its name
SIZES: dict[str, int | None] = {"3": 3, "8": 8, "all": None}
# The bundle's rate is for a UNETR of full size and a long training.
_BASE_LEARNING_RATES = {"unetr": 3e-4, "uniseg": 2e-3}
# Fewer prompts than by default, so that they stay below 1 % of the small network.
_PROMPTS = {"num_prompts": 20}
_Variants = dict[str, tuple[list[str], dict[str, Any]]]
UNETR: _Variants = {
    "shallow prompts": (["shallow.json"], {}),
    "deep prompts": ([], _PROMPTS),
    "deep prompts, ten times the rate": ([], {**_PROMPTS, "learning_rate": 0.01}),
    "deep prompts and head": (["with_head.json"], _PROMPTS),
    "head": (["head_only.json"], {}),
    "decoder": (["decoder_only.json"], {}),
    "everything": (["full_finetune.json"], {}),
    "from scratch": (["full_finetune.json"], {"base_weights": None}),
}
UNISEG: _Variants = {
    "universal prompt": ([], {"trained": ["task_prompts.universal"], "learning_rate": 0.01}),
    "universal prompt and FUSE": ([], {"trained": ["task_prompts"], "learning_rate": 0.001}),
    "everything": (["full_finetune.json"], {"learning_rate": 0.001}),
}
VARIANTS = {"unetr": UNETR, "uniseg": UNISEG}
FIELDS = ("variant", "size", "seed", "new_dice", "old_dice", "trained", "parameters", "file_bytes", "seconds")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--network", choices=VARIANTS, default="unetr")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--base_epochs", type=int, default=80)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--variants", nargs="+", help="all by default")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    for seed in options.seeds:
        experiment = _Seed(options.output, options.network, seed)
        experiment.make_base(options.base_epochs)
        for size in options.sizes:
            for variant in options.variants or VARIANTS[options.network]:
                experiment.adapt(variant, size, options.epochs)


def split_cases(folder: Path, patient: str, held: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Cases to train on and cases held, of other patients, in an order drawn by the seed."""
    names = sorted(path.name.removesuffix(".nii.gz") for path in (folder / "labelsTr").glob("*.nii.gz"))
    cases = [
        {
            "name": name,
            "image": [str(folder / "imagesTr" / f"{name}_0000.nii.gz")],
            "label": str(folder / "labelsTr" / f"{name}.nii.gz"),
            "task": "heart",
        }
        for name in names
    ]
    trained, tested = hold_out(patients_of(names, patient), held, SEED)
    return [cases[index] for index in trained], [cases[index] for index in tested]


def adaptation_row(
    variant: str, size: str, seed: int, network: torch.nn.Module, dice: tuple[float, float], part: Path, seconds: int
) -> dict[str, Any]:
    """A row of results: new and old centre's Dice and what it took; the trained part is written to measure its file."""
    save_weights(TrainedPart(network).state_dict(), part)
    adapted = variant != "none"
    return {
        "variant": variant,
        "size": size,
        "seed": seed,
        "new_dice": dice[0],
        "old_dice": dice[1],
        "trained": sum(p.numel() for p in trainable(network)) if adapted else 0,
        "parameters": sum(p.numel() for p in network.parameters()),
        "file_bytes": part.stat().st_size if adapted else 0,
        "seconds": seconds,
    }


class _Seed:
    """A base trained on the old centre, and what becomes of it on the new one; one seed."""

    def __init__(self, output: Path, network: str, seed: int):
        self.output = output
        self.network = network
        self.seed = seed
        self.base = output / f"base_seed{seed}" / "last.pt"
        root = Path(os.environ["UNISEG_TEST_DATA"]) / "data"
        self.cases = {centre: split_cases(root / centre, PATIENT[centre], held) for centre, held in HELD.items()}
        rows = read_rows(output / "results.csv")
        self.done = {(row["variant"], row["size"]) for row in rows if row["seed"] == str(seed)}

    def make_base(self, epochs: int) -> None:
        if not self.base.is_file():
            rate = {"learning_rate": _BASE_LEARNING_RATES[self.network]}
            self._train(self.base.parent, self.cases[OLD][0], ["train_base.json"], epochs, **rate)
        if ("none", "0") not in self.done:
            weights = {"num_prompts": 0, "trained": [], "base_weights": str(self.base)}
            base = self._workflow(self.base.parent, [], **weights)
            self._add_row("none", "0", base.parser.get_parsed_content("network"), self.base.parent / "direct")

    def adapt(self, variant: str, size: str, epochs: int) -> None:
        if (variant, size) in self.done:
            return
        folder = self.output / f"{variant.replace(',', '').replace(' ', '_')}_{size}_{self.seed}"
        overlays, more = VARIANTS[self.network][variant]
        start = time.perf_counter()
        more = {"base_weights": str(self.base), **more}
        network = self._train(folder, self.cases[NEW][0][: SIZES[size]], overlays, epochs, **more)
        self._add_row(variant, size, network, folder, round(time.perf_counter() - start))

    def _workflow(self, folder: Path, overlays: list[str], **more: Any) -> ConfigWorkflow:
        root = bundle_folder("unetr_prompt_tuning")
        names = ("train.json", *overlays)
        files = [str(HERE / f"{self.network}.json"), str(HERE / "experiment.json")]
        options: dict[str, Any] = {"logging_file": False, "workflow_type": "train", "bundle_root": str(root)}
        options |= {"output_dir": str(folder), "ckpt_dir": str(folder), "best_dir": str(folder), "seed": self.seed}
        options |= {"cache_dir": str(self.output / "cache"), "tasks_file": str(HERE / "tasks.json")}
        return ConfigWorkflow([*(str(root / "configs" / name) for name in names), *files], **options | more)

    def _train(
        self, folder: Path, cases: list[dict[str, Any]], overlays: list[str], epochs: int, **more: Any
    ) -> torch.nn.Module:
        settings = {"max_epochs": epochs, "resume": True, "train#cases": cases, "validate#cases": []}
        training = self._workflow(folder, overlays, **settings, **more)
        training.initialize()
        training.run()
        network: torch.nn.Module = training.parser.get_parsed_content("network")
        save_weights(network.state_dict(), folder / "last.pt")
        return network

    def _add_row(self, variant: str, size: str, network: torch.nn.Module, folder: Path, seconds: int = 0) -> None:
        dice = {centre: self._evaluate(network, centre, folder / f"eval_{centre}") for centre in (NEW, OLD)}
        row = adaptation_row(variant, size, self.seed, network, (dice[NEW], dice[OLD]), folder / "part.pt", seconds)
        append_row(self.output / "results.csv", FIELDS, row)
        print(row, flush=True)

    def _evaluate(self, network: torch.nn.Module, centre: str, folder: Path) -> float:
        """Mean Dice over the classes, on a centre's held cases."""
        held = {"validate#network": network.eval(), "validate#cases": self.cases[centre][1]}
        settings = {"overlap": 0.25, "weights": None, "report#worst": 0}
        self._workflow(folder, ["evaluate.json"], **settings, **held).run()
        rows = csv.DictReader((folder / "summary.csv").open())
        return round(float(np.mean([float(row["dice"]) for row in rows])), 4)


if __name__ == "__main__":
    main()
