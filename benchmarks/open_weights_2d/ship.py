"""Writes the weights of a training as they are shipped: 16-bit numbers, with their SHA-256 and their terms beside them.

    python -m benchmarks.open_weights_2d.ship RUN/model_final.pt bundles/esp_medsam_2d/models/open.pt

The recogniser, a few thousand numbers, stays in 32 bits. All are read as 32-bit numbers.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from uniseg_nets.weights.checkpoints import halved, read_state, save_weights
from uniseg_nets.weights.licence import OPEN_2D_TERMS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("target", type=Path)
    options = parser.parse_args()
    state, _ = read_state(options.weights)
    large = {name: tensor for name, tensor in state.items() if not name.startswith("recogniser.")}
    print(save_weights(state | halved(large, options.weights), options.target, terms=OPEN_2D_TERMS))


if __name__ == "__main__":
    main()
