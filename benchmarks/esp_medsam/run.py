"""Distillation where masks are few: students of one teacher against the same networks from scratch, on 2D images.

    UNISEG_TEST_DATA=DIR python -m benchmarks.esp_medsam.run OUT [--seeds 0 1 2] [--variants "from scratch, 8 masks"]

Four sets of DIR/data/images_2d; a quarter of each, drawn by seed 0, is held out. The teacher learns from the masks of
all training images. A student sees all of them without masks in the two stages, then eight masks per modality, drawn
by its seed; networks from scratch see the same eight. Images of 256 x 256, sizes of the bundle's ``small.json`` and
``small_teacher.json``, 40 steps of four images per epoch. The rate falls to a fiftieth in each training. The last
weights are evaluated, so that the held images choose nothing. Adds a row per held image to ``OUT/cases.csv`` and one
per training to ``OUT/trainings.csv``; what stands there is not run again.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.bundle import ConfigWorkflow

from benchmarks.pictures import draw_sections
from benchmarks.results import append_row, has_row, read_rows
from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.io.files import write_json
from uniseg_nets.weights.checkpoints import save_weights
from uniseg_nets.weights.freezing import trainable

SETS = {
    "ultrasound": "fetal_head_ultrasound",
    "microscopy": "nuclei_microscopy",
    "xray": "lungs_xray",
    "dermoscopy": "skin_dermoscopy",
}
_HELD, _SPLIT_SEED, _MASKS = 0.25, 0, 8
# Epochs of 40 steps: 2,000 of the teacher, 1,000 of each stage, 480 with the few masks.
_TEACHER, _STAGE, _FEW = 50, 25, 12
_LAST_RATE = 0.02
DISTILLED = ("distilled", "distilled, then 8 masks")
SCRATCH = (
    "from scratch, 8 masks",
    "from scratch, 8 masks, as many steps",
    "from scratch, all masks, as many steps",
)
STUDENT, TEACHER = ["small.json"], ["train_teacher.json", "small_teacher.json"]
CASE_FIELDS = ("variant", "seed", "modality", "case", "status", "dice", "nsd", "hd95_pixels")
FIELDS = ("variant", "seed", "steps", "masks", "trained", "parameters", "seconds")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--variants", nargs="+", default=[*DISTILLED, *SCRATCH], choices=[*DISTILLED, *SCRATCH])
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    images = Path(os.environ["UNISEG_TEST_DATA"]) / "data" / "images_2d"
    sections = draw_sections(images, SETS, _HELD, _SPLIT_SEED)
    write_json(options.output / "all.json", sections)
    for seed in options.seeds:
        write_json(options.output / f"few_{seed}.json", few_masks(sections, seed))
    if not set(DISTILLED).isdisjoint(options.variants):
        teacher = _Trainings(options.output, 0, ["teacher"])
        teacher.evaluated("teacher", TEACHER, _TEACHER, "all")
        for seed in options.seeds:
            _distilled(_Trainings(options.output, seed, options.variants), teacher.weights("teacher"))
    for seed in options.seeds:
        _from_scratch(_Trainings(options.output, seed, options.variants))


def few_masks(sections: dict[str, list[dict[str, str]]], seed: int) -> dict[str, list[dict[str, str]]]:
    """The sections with eight training images per modality, drawn by the seed."""
    rng = np.random.default_rng(seed)
    members = {name: [case for case in sections["training"] if case["modality"] == name] for name in SETS}
    drawn = [cases[index] for cases in members.values() for index in sorted(rng.permutation(len(cases))[:_MASKS])]
    return {**sections, "training": drawn}


def _distilled(trainings: _Trainings, teacher: str) -> None:
    distil = {"teacher_weights": teacher}
    first, second = ([*STUDENT, "distill.json", f"distill_stage{n}.json", "small_teacher.json"] for n in (1, 2))
    distilled, then_masks = DISTILLED
    if trainings.wanted(distilled):
        trainings.train("stage 1", first, _STAGE, "all", **distil)
    before = {"base_weights": trainings.weights("stage 1")}
    trainings.evaluated(distilled, second, _STAGE, "all", **before, **distil)
    before = {"base_weights": trainings.weights(distilled)}
    trainings.evaluated(then_masks, STUDENT, _FEW, trainings.few, **before)


def _from_scratch(trainings: _Trainings) -> None:
    short, long, all_masks = SCRATCH
    trainings.evaluated(short, STUDENT, _FEW, trainings.few)
    trainings.evaluated(long, STUDENT, 2 * _STAGE + _FEW, trainings.few)
    trainings.evaluated(all_masks, STUDENT, 2 * _STAGE + _FEW, "all")


class _Trainings:
    """Trainings of one seed, each in a folder of its own, and their evaluations."""

    def __init__(self, output: Path, seed: int, variants: Sequence[str]):
        self.output = output
        self.seed = seed
        self.variants = variants
        self.few = f"few_{seed}"

    def wanted(self, variant: str) -> bool:
        return variant in self.variants and not has_row(self.output / "trainings.csv", variant=variant, seed=self.seed)

    def weights(self, variant: str) -> str:
        return str(self.folder(variant) / "last.pt")

    def folder(self, variant: str) -> Path:
        return self.output / f"seed{self.seed}" / variant.replace(",", "").replace(" ", "_")

    def evaluated(self, variant: str, overlays: list[str], epochs: int, datalist: str, **more: Any) -> None:
        """Trains, evaluates on all held images, and adds the rows."""
        if not self.wanted(variant):
            return
        start = time.perf_counter()
        training = self.train(variant, overlays, epochs, datalist, **more)
        seconds = round(time.perf_counter() - start)
        network = training.parser.get_parsed_content("loaded_network").eval()
        for case in self._evaluate(variant, network):
            append_row(self.output / "cases.csv", CASE_FIELDS, {"variant": variant, "seed": self.seed, **case})
        row: dict[str, Any] = {"variant": variant, "seed": self.seed, "seconds": seconds}
        row["masks"] = datalist.split("_")[0]
        row["steps"] = epochs * len(training.parser.get_parsed_content("train#sampler"))
        row["trained"] = sum(p.numel() for p in trainable(network))
        row["parameters"] = sum(p.numel() for p in network.parameters())
        append_row(self.output / "trainings.csv", FIELDS, row)
        print(row, flush=True)

    def train(self, variant: str, overlays: list[str], epochs: int, datalist: str, **more: Any) -> ConfigWorkflow:
        folder = self.folder(variant)
        options = self._options(folder, datalist) | {"max_epochs": epochs, "val_interval": 2 * epochs, "resume": True}
        options["rate_decay"] = _LAST_RATE ** (1 / epochs)
        training = ConfigWorkflow(_files(*overlays), **options | more)
        training.initialize()
        training.run()
        save_weights(training.parser.get_parsed_content("loaded_network").state_dict(), folder / "last.pt")
        return training

    def _options(self, folder: Path, datalist: str) -> dict[str, Any]:
        root = bundle_folder("esp_medsam_2d")
        options = {"logging_file": False, "workflow_type": "train", "bundle_root": str(root), "seed": self.seed}
        options |= {"output_dir": str(folder), "ckpt_dir": str(folder), "best_dir": str(folder)}
        options |= {"cache_dir": str(self.output / "cache"), "datalist": str(self.output / f"{datalist}.json")}
        return options | json.loads((Path(__file__).parent / "experiment.json").read_text())

    def _evaluate(self, variant: str, network: Any) -> list[dict[str, str]]:
        folder = self.folder(variant) / "eval"
        networks = {"validate#network": network, "validate#loaded_network": network}
        files = _files(*STUDENT, "evaluate.json")
        ConfigWorkflow(files, **self._options(folder, "all"), weights=None, **networks).run()
        return read_rows(folder / "cases.csv")


def _files(*overlays: str) -> list[str]:
    configs = bundle_folder("esp_medsam_2d") / "configs"
    return [str(configs / name) for name in ("train.json", *overlays)]


if __name__ == "__main__":
    main()
