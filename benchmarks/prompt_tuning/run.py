"""A transformer of an old centre adapted to a new one: prompts, head, decoder or everything, on few and all new cases.

    UNISEG_TEST_DATA=DIR python -m benchmarks.prompt_tuning.run OUT [--seeds 0 1 2] [--variants NAME ...]

Old: DIR/data/cardiac_mr_centre_a, 36 scans to train on, 12 held (8 patients). New: cardiac_mr_centre_b, 18 to draw
from, 9 held. Drawn by seed 2023, all scans of a patient on one side. The base makes 3,000 steps of two patches, every
variant 600; last weights are evaluated, so that the held cases choose nothing. Adds a row per held case and class to
``OUT/cases.csv`` and one per training to ``OUT/trainings.csv``; what stands there is not run again.
"""

from __future__ import annotations

import argparse
import logging
import os
import time
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigWorkflow

from benchmarks.results import append_row, has_row, read_rows
from uniseg_nets.data.groups import hold_out, patients_of
from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.weights.checkpoints import save_weights
from uniseg_nets.weights.freezing import TrainedPart, trainable

HERE = Path(__file__).parent
SEED = 2023
OLD, NEW = "cardiac_mr_centre_a", "cardiac_mr_centre_b"
HELD = {OLD: 12, NEW: 9}
PATIENT = {OLD: r"patient\d+", NEW: ".+"}  # of a scan, by its name
SIZES: dict[str, int | None] = {"3": 3, "all": None}
BASE = "none"
_BASE_EPOCHS, _EPOCHS = 60, 12  # of 50 steps
# The bundle's rate is for a UNETR of full size and a long training.
_BASE_RATE, _PROMPT_RATE, _RATE, _SCRATCH_RATE = 3e-4, 1e-2, 3e-4, 1e-3
# Fewer prompts than by default, so that they stay below 1 % of the small network.
_PROMPTS = {"num_prompts": 20, "learning_rate": _PROMPT_RATE}
VARIANTS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "deep prompts": ([], _PROMPTS),
    "deep prompts and head": (["with_head.json"], _PROMPTS),
    "head": (["head_only.json"], {"learning_rate": _PROMPT_RATE}),
    "decoder": (["decoder_only.json"], {"learning_rate": _RATE}),
    "everything": (["full_finetune.json"], {"learning_rate": _RATE}),
    "from scratch": (["full_finetune.json"], {"learning_rate": _SCRATCH_RATE, "base_weights": None}),
}
CASE_FIELDS = ("variant", "size", "seed", "centre", "case", "patient", "class", "status", "dice", "nsd", "hd95_mm")
FIELDS = ("variant", "size", "seed", "trained", "parameters", "file_bytes", "seconds")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    for seed in options.seeds:
        experiment = _Seed(options.output, seed)
        experiment.make_base()
        for size in options.sizes:
            for variant in options.variants:
                experiment.adapt(variant, size)


def split_cases(folder: Path, patient: str, held: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Cases to train on and cases held, of other patients, in an order drawn by the seed."""
    names = sorted(path.name.removesuffix(".nii.gz") for path in (folder / "labelsTr").glob("*.nii.gz"))
    patients = patients_of(names, patient)
    cases = [
        {
            "name": name,
            "group": owner,
            "image": [str(folder / "imagesTr" / f"{name}_0000.nii.gz")],
            "label": str(folder / "labelsTr" / f"{name}.nii.gz"),
            "task": "heart",
        }
        for name, owner in zip(names, patients)
    ]
    trained, tested = hold_out(patients, held, SEED)
    return [cases[index] for index in trained], [cases[index] for index in tested]


class _Seed:
    """A base trained on the old centre, and what becomes of it on the new one; one seed."""

    def __init__(self, output: Path, seed: int):
        self.output = output
        self.seed = seed
        self.base = output / f"base_seed{seed}" / "last.pt"
        root = Path(os.environ["UNISEG_TEST_DATA"]) / "data"
        self.cases = {centre: split_cases(root / centre, PATIENT[centre], held) for centre, held in HELD.items()}

    def make_base(self) -> None:
        if not self.base.is_file():
            rate = {"learning_rate": _BASE_RATE}
            self._train(self.base.parent, self.cases[OLD][0], ["train_base.json"], _BASE_EPOCHS, **rate)
        if not self._done(BASE, "0"):
            weights = {"num_prompts": 0, "trained": [], "base_weights": str(self.base)}
            base = self._workflow(self.base.parent, [], **weights)
            self._add_rows(BASE, "0", base.parser.get_parsed_content("network"), self.base.parent / "direct")

    def adapt(self, variant: str, size: str) -> None:
        if self._done(variant, size):
            return
        folder = self.output / f"{variant.replace(' ', '_')}_{size}_{self.seed}"
        overlays, more = VARIANTS[variant]
        start = time.perf_counter()
        more = {"base_weights": str(self.base), **more}
        network = self._train(folder, self.cases[NEW][0][: SIZES[size]], overlays, _EPOCHS, **more)
        self._add_rows(variant, size, network, folder, round(time.perf_counter() - start))

    def _done(self, variant: str, size: str) -> bool:
        return has_row(self.output / "trainings.csv", variant=variant, size=size, seed=self.seed)

    def _workflow(self, folder: Path, overlays: list[str], **more: Any) -> ConfigWorkflow:
        root = bundle_folder("unetr_prompt_tuning")
        names = ("train.json", *overlays)
        files = [str(HERE / "unetr.json"), str(HERE / "experiment.json")]
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

    def _add_rows(self, variant: str, size: str, network: torch.nn.Module, folder: Path, seconds: int = 0) -> None:
        """Evaluates on both centres; the trained part is written to measure its file."""
        key: dict[str, Any] = {"variant": variant, "size": size, "seed": self.seed}
        for centre in (NEW, OLD):
            for case in self._evaluate(network, centre, folder / f"eval_{centre}"):
                figures = {name: case[name] for name in CASE_FIELDS if name in case}
                append_row(self.output / "cases.csv", CASE_FIELDS, {**key, "centre": centre, **figures})
        part = folder / "part.pt"
        save_weights(TrainedPart(network).state_dict(), part)
        sizes = {"trained": sum(p.numel() for p in trainable(network)), "file_bytes": part.stat().st_size}
        row: dict[str, Any] = key | (sizes if variant != BASE else {"trained": 0, "file_bytes": 0})
        row |= {"parameters": sum(p.numel() for p in network.parameters()), "seconds": seconds}
        append_row(self.output / "trainings.csv", FIELDS, row)
        print(row, flush=True)

    def _evaluate(self, network: torch.nn.Module, centre: str, folder: Path) -> list[dict[str, str]]:
        """Rows of a centre's held cases, one per class."""
        held = {"validate#network": network.eval(), "validate#cases": self.cases[centre][1]}
        settings = {"overlap": 0.25, "weights": None, "report#worst": 0}
        self._workflow(folder, ["evaluate.json"], **settings, **held).run()
        return read_rows(folder / "cases.csv")


if __name__ == "__main__":
    main()
