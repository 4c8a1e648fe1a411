"""A teacher, a student distilled from it in two stages, and students without this or that, on real 2D images.

    UNISEG_TEST_DATA=DIR python -m benchmarks.esp_medsam.run OUT [--seeds 0 1] [--epochs 16] [--distil_epochs 12]

DIR/data/images_2d: dermoscopy (160 images, 32 held), ultrasound (64, 16), microscopy (128, 32), fundus (DRIVE: 32, 8),
drawn by seed 2023; the 23 images of CHASE, fundus of another centre, are only tested on. Images of 256 x 256, sizes of
the bundle's ``small.json`` and ``small_teacher.json``, 40 steps of four images an epoch. The last weights of a training
are evaluated, so that the held images choose nothing. Adds rows to ``OUT/results.csv``; what stands there is not run
again.
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
from uniseg_nets.image2d import load_pictures
from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.io.files import write_json
from uniseg_nets.weights.checkpoints import save_weights
from uniseg_nets.weights.freezing import trainable

HERE = Path(__file__).parent
SEED = 2023
HELD = {
    "dermoscopy": ("skin_dermoscopy", 32),
    "ultrasound": ("fetal_head_ultrasound", 16),
    "microscopy": ("blood_cell_microscopy", 32),
    "fundus": ("fundus_vessel_drive", 8),
}
OTHER_CENTRE = "fundus_vessel_chase"
# What is tested: the four held sets, another centre, and each held set with the next modality's controller and decoder.
SETS = (*HELD, "chase", *(f"wrong_{name}" for name in HELD))
STUDENT, TEACHER = ["small.json"], ["train_teacher.json", "small_teacher.json"]
FIELDS = ("variant", "seed", *SETS, "trained", "parameters", "held_mse", "seconds")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--distil_epochs", type=int, default=12)
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    write_datalists(Path(os.environ["UNISEG_TEST_DATA"]) / "data" / "images_2d", options.output)
    for seed in options.seeds:
        _Seed(options.output, seed, options.epochs, options.distil_epochs).run()


def write_datalists(images: Path, output: Path) -> None:
    """``train.json`` with the sections training and validation, and ``chase.json`` with validation alone."""
    rng = np.random.default_rng(SEED)
    content: dict[str, list[dict[str, str]]] = {"training": [], "validation": []}
    for modality, (folder, held) in HELD.items():
        entries = entries_of(images / folder, modality)
        drawn = [entries[index] for index in rng.permutation(len(entries))]
        content["validation"] += drawn[:held]
        content["training"] += drawn[held:]
    write_json(output / "train.json", content)
    write_json(output / "chase.json", {"validation": entries_of(images / OTHER_CENTRE, "fundus")})


def entries_of(folder: Path, modality: str) -> list[dict[str, str]]:
    return [
        {"image": str(path), "label": str(folder / "masks" / f"{path.stem}.png"), "modality": modality}
        for path in sorted((folder / "images").glob("*.jpg"))
    ]


class _Seed:
    """All trainings and evaluations of one seed."""

    def __init__(self, output: Path, seed: int, epochs: int, distil_epochs: int):
        self.output = output
        self.seed = seed
        self.epochs = epochs
        self.distil_epochs = distil_epochs
        self.folder = output / f"seed{seed}"
        self.done = {row["variant"] for row in read_rows(output / "results.csv") if row["seed"] == str(seed)}

    def run(self) -> None:
        teacher = {"teacher_weights": str(self.folder / "teacher" / "last.pt")}
        stage1 = {"base_weights": str(self.folder / "stage1" / "last.pt"), **teacher}
        first, second = (
            [*STUDENT, "distill.json", f"distill_stage{stage}.json", "small_teacher.json"] for stage in (1, 2)
        )
        short, tuned = self.distil_epochs, {"base_weights": str(self.folder / "student" / "last.pt")}
        self._variant("teacher", TEACHER, self.epochs)
        self._train("stage1", first, short, **teacher)
        self._variant("student before stage 2", second, 0, **stage1)
        self._variant("student", second, short, **stage1)
        self._variant("student, then trained", STUDENT, short, **tuned)
        self._variant("from scratch", STUDENT, self.epochs)
        self._variant("from scratch, no SPPG", STUDENT, self.epochs, **{"network_def#self_prompt": False})
        self._variant("from scratch, one shared query", STUDENT, self.epochs, **{"network_def#shared_query": True})

    def _variant(self, name: str, overlays: list[str], epochs: int, **more: Any) -> None:
        """Trains, evaluates on all sets, and adds a row."""
        if name in self.done:
            return
        start = time.perf_counter()
        training = self._train(name, overlays, epochs, **more)
        seconds = round(time.perf_counter() - start)
        network = training.parser.get_parsed_content("loaded_network").eval()
        row = {"variant": name, "seed": self.seed, "seconds": seconds, "trained": 0}
        row["parameters"] = sum(p.numel() for p in network.parameters())
        if epochs:
            row["trained"] = sum(p.numel() for p in trainable(network))
        if "distill_stage2.json" in overlays:
            row["held_mse"] = self._held_mse(training)
        for held in SETS:
            row[held] = self._evaluate(name, network, held)
        append_row(self.output / "results.csv", FIELDS, row)
        print(row, flush=True)

    def _train(self, name: str, overlays: list[str], epochs: int, **more: Any) -> ConfigWorkflow:
        folder = self.folder / name.replace(",", "").replace(" ", "_")
        options = self._options(folder) | {"max_epochs": epochs, "val_interval": epochs, "resume": True} | more
        training = ConfigWorkflow(_files(*overlays), **options)
        training.initialize()
        if epochs:
            training.run()
            save_weights(training.parser.get_parsed_content("loaded_network").state_dict(), folder / "last.pt")
        return training

    def _options(self, folder: Path, datalist: str = "train.json") -> dict[str, Any]:
        root = bundle_folder("esp_medsam_2d")
        options = {"logging_file": False, "workflow_type": "train", "bundle_root": str(root), "seed": self.seed}
        options |= {"output_dir": str(folder), "ckpt_dir": str(folder), "best_dir": str(folder)}
        options |= {"cache_dir": str(self.output / "cache"), "datalist": str(self.output / datalist)}
        return options | json.loads((HERE / "experiment.json").read_text())

    def _held_mse(self, training: ConfigWorkflow) -> float:
        """Mean squared difference of the student's embeddings to the teacher's on the held images."""
        prepare = training.parser.get_parsed_content("prepare_batch")
        module = training.parser.get_parsed_content("module").eval()
        rows = []
        with torch.no_grad():
            for batch in training.parser.get_parsed_content("validate#dataloader"):
                image, target, (modalities,), _ = prepare(batch)
                rows.append(torch.nn.functional.mse_loss(module(image, modalities), target).item())
        return round(float(np.mean(rows)), 5)

    def _evaluate(self, name: str, network: torch.nn.Module, held: str) -> float:
        """Mean Dice on a set."""
        folder = self.folder / name.replace(",", "").replace(" ", "_") / f"eval_{held}"
        options = self._options(folder, "chase.json" if held == "chase" else "train.json")
        cases = load_pictures(options["datalist"], "validation", list(HELD))
        names = list(HELD)
        if held != "chase":
            cases = [case for case in cases if case["modality"] == held.removeprefix("wrong_")]
        requested = cases[0]["modality"]
        if held.startswith("wrong_"):
            requested = names[(names.index(requested) + 1) % len(names)]
        evaluation = ConfigWorkflow(
            _files(*STUDENT, "evaluate.json"),
            **options,
            **{"weights": None, "requested_modality": requested, "validate#cases": cases},
            **{"validate#network": network, "validate#loaded_network": network},
        )
        evaluation.run()
        (row,) = csv.DictReader((folder / "summary.csv").open())
        return round(float(row["dice"]), 4)


def _files(*overlays: str) -> list[str]:
    configs = bundle_folder("esp_medsam_2d") / "configs"
    return [str(configs / name) for name in ("train.json", *overlays)]


if __name__ == "__main__":
    main()
