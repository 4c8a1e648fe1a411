"""An image of 1024 x 1024 through ESP-MedSAM beside SAM-B's image encoder alone, on every runtime of the former.

    python -m benchmarks.bench_2d [--repeats 5]

Random weights. SAM-B's encoder is that of ``transformers``, in PyTorch. Alternating, in one process.
"""

from __future__ import annotations

import argparse
from functools import partial

import torch
import transformers

from benchmarks.measure import alternating, machine
from uniseg_nets.nets.esp_medsam import ESPMedSAM
from uniseg_nets.pictures import with_picture_runtime

RUNTIMES = (("torch", "fp32"), ("torch", "bf16"), ("openvino", "fp32"), ("openvino", "bf16"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.manual_seed(0)
    image = torch.randn(1, 3, 1024, 1024)
    sam = transformers.SamVisionModel(transformers.SamVisionConfig()).eval()
    network = ESPMedSAM().eval()
    contestants = {"SAM-B, image encoder alone, torch fp32": partial(sam, image)}
    for runtime, precision in RUNTIMES:
        computed = with_picture_runtime(network, runtime, precision)
        contestants[f"ESP-MedSAM, {runtime} {precision}"] = partial(computed, image, "fundus")
    with torch.no_grad():
        seconds = alternating(contestants, options.repeats)
    counts = {"SAM-B": sam, "ESP-MedSAM": network}
    sizes = {name: sum(p.numel() for p in module.parameters()) / 1e6 for name, module in counts.items()}
    print(machine())
    print("| | parameters | seconds an image | against SAM-B's encoder |\n|---|---|---|---|")
    slowest = next(iter(seconds.values()))
    for name, median in seconds.items():
        print(f"| {name} | {sizes[name.split(',')[0]]:.1f} M | {median:.2f} | {slowest / median:.1f}x |")


if __name__ == "__main__":
    main()
