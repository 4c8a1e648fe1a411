"""What a decoder that is narrower at its finest levels would gain in time: the most that distilling one could give.

    python -m benchmarks.bench_slim [--repetitions 5]

Random weights, one window each of the open weights' size and of the full size, medians of alternating runs in the
runtime that ``auto`` takes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import torch
from torch import nn

from benchmarks.measure import alternating, machine, print_ratios
from uniseg_nets import UniSeg
from uniseg_nets.nets.unet import STRIDES, ConvBlock
from uniseg_nets.runtimes import with_runtime

# Sizes -> features of the decoder's finest level and of the next one.
SIZES: dict[str, dict[str, Any]] = {
    "open weights": {"base_features": 8, "max_features": 96, "patch_size": (32, 96, 96)},
    "full size": {"base_features": 32, "max_features": 320, "patch_size": (64, 192, 192)},
}
WIDTHS = {"open weights": ((8, 16), (4, 16), (8, 8), (4, 8)), "full size": ((32, 64), (16, 64), (16, 32), (8, 16))}


def narrow(network: UniSeg, widths: Sequence[int]) -> None:
    """Gives the last levels of the decoder other widths, finest first, with new random weights."""
    decoder = network.decoder
    for distance, width in reversed(list(enumerate(widths))):
        level = len(decoder.stages) - 1 - distance
        up = cast(nn.ConvTranspose3d, decoder.upsamples[level])
        below = cast(nn.Conv3d, decoder.heads[level - 1]).in_channels
        decoder.upsamples[level] = nn.ConvTranspose3d(
            below, width, STRIDES[distance + 1], STRIDES[distance + 1], bias=False
        )
        skip = up.out_channels
        decoder.stages[level] = nn.Sequential(ConvBlock(width + skip, width), ConvBlock(width, width))
        decoder.heads[level] = nn.Conv3d(width, network.out_channels, 1, bias=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    print(machine())
    for name, sizes in SIZES.items():
        contestants: dict[str, Callable[[], object]] = {}
        for widths in WIDTHS[name]:
            network = UniSeg(**sizes, deep_supervision=False).eval()
            narrow(network, widths)
            window = torch.zeros(1, 1, *sizes["patch_size"])
            contestants[f"{name}, {widths[0]} and {widths[1]} features"] = partial(
                with_runtime(network, "auto"), window
            )
        with torch.inference_mode():
            seconds = alternating(contestants, options.repetitions)
        print_ratios(seconds)


if __name__ == "__main__":
    main()
