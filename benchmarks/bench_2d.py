"""ESP-MedSAM's cost: beside SAM-B's image encoder at full size, and teacher beside student at the experiment's size.

    python -m benchmarks.bench_2d [--repeats 5]

Random weights, the six modalities of the bundle. SAM-B's encoder is that of ``transformers``, in PyTorch. Alternating,
in one process; a multiplication and an addition count as two operations.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import torch
import transformers
from monai.bundle import ConfigParser
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measure import alternating, machine, timed_precisions
from uniseg_nets.image2d import with_picture_runtime
from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.nets.esp_medsam import ESPMedSAM

RUNTIMES = ("torch", "openvino")
MODALITY = "fundus"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.manual_seed(0)
    print(machine())
    sam, full = transformers.SamVisionModel(transformers.SamVisionConfig()).eval(), ESPMedSAM().eval()
    _table(1024, {"SAM-B's image encoder": (sam, ())}, {"ESP-MedSAM": full}, options.repeats)
    teacher: dict[str, tuple[nn.Module, tuple[str, ...]]] = {
        "teacher of the experiment": (_configured("train_teacher.json", "small_teacher.json"), (MODALITY,))
    }
    _table(256, teacher, {"student of the experiment": _configured("small.json")}, options.repeats)


def _configured(*overlays: str) -> Any:
    configs = bundle_folder("esp_medsam_2d") / "configs"
    parser = ConfigParser()
    parser.read_config([str(configs / name) for name in ("train.json", *overlays)])
    return parser.get_parsed_content("network_def").eval()


def _table(
    side: int, plain: dict[str, tuple[nn.Module, tuple[str, ...]]], ours: dict[str, ESPMedSAM], repeats: int
) -> None:
    """Plain networks, with what they take beside the image, then ours on every runtime; ratios to the first row."""
    image = torch.randn(1, 3, side, side)
    contestants: dict[str, Callable[[], object]] = {}
    costs = {}
    with torch.no_grad():
        for name, (network, more) in (plain | {name: (network, (MODALITY,)) for name, network in ours.items()}).items():
            with FlopCounterMode(display=False) as counter:
                network(image, *more)
            million = sum(p.numel() for p in network.parameters()) / 1e6
            costs[name] = f"{million:.1f} M | {counter.get_total_flops() / 1e9:.1f}"
        for name, (network, more) in plain.items():
            contestants[f"{name}, torch fp32"] = partial(network, image, *more)
        for name, network in ours.items():
            for choice in product(RUNTIMES, timed_precisions()):
                computed = with_picture_runtime(network, *choice)
                contestants[f"{name}, {' '.join(choice)}"] = partial(computed, image, MODALITY)
        seconds = alternating(contestants, repeats)
    print(f"\n| {side} x {side} | parameters | GFLOP | s an image | against the first row |\n|---|---|---|---|---|")
    first = next(iter(seconds.values()))
    for name, median in seconds.items():
        print(f"| {name} | {costs[name.rsplit(', ', 1)[0]]} | {median:.3f} | {first / median:.1f}x |")


if __name__ == "__main__":
    main()
