"""Small trained weights as a network of full size: the cost of the one, the results of the other.

    python -m benchmarks.zero_padded SMALL.pt WIDE.pt [--patch 32 64 64]

Every convolution is padded with zeros, so that the full-size network computes exactly what the small one does, with all
of its own multiplications. Timings and memory are then those of the full size, and label maps and Dice
those of a trained network, where full-size weights cannot be had.
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor
from torch.nn import functional as F

from uniseg_nets import UniSeg
from uniseg_nets.weights.checkpoints import read_weights, save_weights
from uniseg_nets.weights.licence import terms_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("small")
    parser.add_argument("wide")
    parser.add_argument("--patch", type=int, nargs=3, default=[64, 192, 192], help="the wide network's (z, y, x)")
    options = parser.parse_args()
    checkpoint = read_weights(options.small)
    tasks = {name: checkpoint.sizes[name] for name in ("num_tasks", "out_channels", "in_channels")}
    small = UniSeg(**checkpoint.sizes, deep_supervision=False).eval()
    small.load_state_dict(checkpoint.state)
    wide = UniSeg(**tasks, patch_size=options.patch, deep_supervision=False).eval()
    state = {
        name: _zero_padded(name, checkpoint.state[name], like, tasks["num_tasks"])
        for name, like in wide.state_dict().items()
    }
    wide.load_state_dict(state)
    save_weights(state, options.wide, terms=terms_of(options.small))
    window = torch.rand(1, tasks["in_channels"][0], *options.patch)
    with torch.inference_mode():
        difference = max(float((small(window, task) - wide(window, task)).abs().max()) for task in (0, 1))
    print(f"{options.wide}: largest difference of a logit from {options.small} {difference:.1e}")


def _zero_padded(name: str, small: Tensor, like: Tensor, num_tasks: int) -> Tensor:
    if name == "task_prompts.universal":
        return F.interpolate(small, like.shape[2:], mode="trilinear", align_corners=False)
    wide = torch.zeros_like(like)
    axes = [_places(name, axis, small.shape[axis], like.shape[axis], num_tasks) for axis in range(min(small.dim(), 2))]
    wide[torch.meshgrid(*axes, indexing="ij")] = small
    return wide


def _places(name: str, axis: int, small: int, wide: int, num_tasks: int) -> Tensor:
    """Where a small tensor's channels go along an axis; of concatenated inputs the second part begins later."""
    index = torch.arange(small)
    first = small  # channels of the first part
    if name.startswith("decoder.stages.") and name.endswith(".0.conv.weight") and axis == 1:
        first = small // 2
    elif name == "decoder.upsamples.0.weight" and axis == 0:
        first = small - 1
    elif name == "task_prompts.fuse.0.conv.weight" and axis == 1:
        first = small - num_tasks
    second = wide - (small - first) if name.startswith(("decoder.up", "task")) else wide // 2
    return torch.where(index < first, index, index - first + second)


if __name__ == "__main__":
    main()
