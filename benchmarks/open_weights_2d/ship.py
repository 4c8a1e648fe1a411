"""Writes the weights of a training as they are shipped: 16-bit numbers, with their SHA-256 and their terms beside them.

    python -m benchmarks.open_weights_2d.ship RUN/model_final.pt bundles/esp_medsam_2d/models/open.pt

The recogniser, a few thousand numbers, stays in 32 bits. All are read as 32-bit numbers.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from torch import Tensor

from uniseg_nets.weights.checkpoints import read_state, save_weights
from uniseg_nets.weights.licence import OPEN_2D_TERMS, mark_terms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("target", type=Path)
    options = parser.parse_args()
    state = {name: _stored(name, tensor) for name, tensor in read_state(options.weights)[0].items()}
    print(save_weights(state, options.target))
    mark_terms(options.target, OPEN_2D_TERMS)


def _stored(name: str, tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point() or name.startswith("recogniser."):
        return tensor
    half = tensor.half()
    if not half.isfinite().all():
        raise ValueError(f"{name} has numbers that 16 bits cannot hold")
    return half


if __name__ == "__main__":
    main()
