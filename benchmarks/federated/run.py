"""Trains the left ventricle of three centres in one kind of federation; Dice on each centre's held patients.

    UNISEG_TEST_DATA=DIR OMP_NUM_THREADS=1 python -m benchmarks.federated.run OUT ARM [--rounds 20] [--every 5]

All arms start from the open weights, with 10 steps per round at each centre. ``alone``: each centre for itself;
``pooled``: the cases of all centres at one place, with 30 steps per round; ``everything``: federated averaging of all
tensors; ``norms``: of the prompt, and of scale and shift of all normalisations, the rest as in the open weights;
``private``: the same with a prompt of its own at each centre; ``prompts``: of prompts and FUSE. The rounds are those of
``uniseg_nets.federated.Site``, in one process. The same command goes on where it was stopped. Adds rows to
``OUT/dice.csv``, the open weights as round 0, and to ``OUT/bytes.csv``.
"""

from __future__ import annotations

import argparse
import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.federated.data import CENTRES, write_centre, write_pooled
from benchmarks.results import append_row, has_row
from uniseg_nets.federated import Site, SiteSettings
from uniseg_nets.federated.exchange import byte_count
from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.io.files import read_json, write_json
from uniseg_nets.weights.checkpoints import read_state, save_weights


class Arm(NamedTuple):
    """A kind of federation: what travels, what stays at each centre, the learning rate."""

    travels: str
    private: tuple[str, ...]
    rate: float


ARMS = {
    "alone": Arm("everything", (), 0.003),
    "pooled": Arm("everything", (), 0.003),
    "everything": Arm("everything", (), 0.003),
    "norms": Arm("norms", (), 0.01),
    "private": Arm("norms", ("task_prompts.universal",), 0.01),
    "prompts": Arm("prompts", (), 0.01),
}
STEPS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("arm", choices=ARMS)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--every", type=int, default=5, help="rounds between two evaluations")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    output, arm = arguments.output.absolute(), arguments.arm
    root = Path(os.environ["UNISEG_TEST_DATA"]).resolve() / "data"
    folders = {centre: write_centre(root / centre, output / "data" / centre) for centre in CENTRES}
    centres = {name: _site(output / arm / name, folder, arm, None) for name, folder in folders.items()}
    # A validation after each local training costs as much as the training: one case stands for it.
    trained = {name: _site(output / arm / name, folder, arm, 1) for name, folder in folders.items()}
    groups = [{name: site} for name, site in trained.items()] if arm == "alone" else [trained]
    if arm == "pooled":
        pooled = write_pooled(list(folders.values()), output / "data" / "pooled")
        groups = [{"pooled": _site(output / arm / "pooled", pooled, arm, 1)}]
    _keep_settings(output / arm / "settings.json", arguments.rounds, arguments.every, ARMS[arm])
    for name, site in centres.items():
        if not has_row(output / "dice.csv", arm="open weights", round=0, centre=name):
            _evaluate(site, site.initial(), output, "open weights", 0)
    for number in range(1, arguments.rounds + 1):
        for group in groups:
            joined = "-".join(group)
            earlier, state = (output / arm / f"{joined}_round{one:03}.pt" for one in (number - 1, number))
            if not has_row(output / "bytes.csv", arm=arm, group=joined, round=number):
                _round(group, earlier, state, output, arm, number, arguments.rounds)
            if number % arguments.every == 0 or number == arguments.rounds:
                for name in group if arm == "alone" else centres:
                    if not has_row(output / "dice.csv", arm=arm, round=number, centre=name):
                        _evaluate(centres[name], read_state(state)[0], output, arm, number)
            earlier.unlink(missing_ok=True)


def _keep_settings(path: Path, rounds: int, every: int, arm: Arm) -> None:
    """Writes an arm's settings beside its results, or refuses to go on with others."""
    settings = {"rounds": rounds, "every": every, "steps": STEPS} | arm._asdict() | {"private": list(arm.private)}
    if path.is_file() and read_json(path) != settings:
        raise ValueError(f"{path} has other settings than {settings}: name a new folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, settings)


def _site(folder: Path, data: Path, arm: str, validated: int | None) -> Site:
    travels, private, rate = ARMS[arm]
    values = {
        "dataset_dir": str(data),
        "initial_weights": str(bundle_folder("uniseg_upstream") / "models" / "open.pt"),
        "batches_per_task": len(CENTRES) * STEPS if arm == "pooled" else STEPS,
        "learning_rate": rate,
        "val_interval": 10**6,
        "val_batches": validated,
        "warmup_share": 0.0,
    }
    configs = ("train.json", "open.json", "open_continue.json")
    return Site(SiteSettings(folder.name, folder, "uniseg_upstream", configs, values, travels, private))


def _round(
    group: Mapping[str, Site], earlier: Path, state: Path, output: Path, arm: str, number: int, rounds: int
) -> None:
    """Trains a round at the sites of a federation, from the state of the round before, and saves the average."""
    start = time.perf_counter()
    weights = next(iter(group.values())).initial() if number == 1 else read_state(earlier)[0]
    answers = [site.train(weights, number, rounds) for site in group.values()]
    mean = _mean([one for one, _ in answers], [figures["num-examples"] for _, figures in answers])
    save_weights(mean, state, terms=next(iter(group.values())).terms)
    sent = sum(byte_count(one) for one, _ in answers) if len(group) > 1 else 0
    row = {"arm": arm, "group": "-".join(group), "round": number, "bytes_up": sent, "bytes_down": sent}
    row["seconds"] = round(time.perf_counter() - start, 1)
    append_row(output / "bytes.csv", tuple(row), row)


def _mean(states: Sequence[Mapping[str, Tensor]], shares: Sequence[float]) -> dict[str, Tensor]:
    """The states' mean, weighted."""
    parts = torch.tensor(shares) / sum(shares)
    return {name: sum(part * state[name] for part, state in zip(parts, states)) for name in states[0]}


def _evaluate(site: Site, weights: Mapping[str, Tensor], output: Path, arm: str, number: int) -> None:
    site.evaluate(weights)
    for case, dice in site.evaluated.items():
        row = {"arm": arm, "round": number, "centre": site.settings.name, "case": case, "dice": round(dice, 4)}
        append_row(output / "dice.csv", tuple(row), row)


if __name__ == "__main__":
    main()
