"""``python -m uniseg_nets.federated SITE.json INITIAL.pt``: the weights that a federation starts from."""

from __future__ import annotations

import argparse

from uniseg_nets.federated.exchange import byte_count
from uniseg_nets.federated.site import Site, load_site
from uniseg_nets.weights.checkpoints import save_weights


def main() -> None:
    """Writes the tensors that travel, as a site's bundle starts with them."""
    parser = argparse.ArgumentParser(prog="python -m uniseg_nets.federated", description=__doc__)
    parser.add_argument("site", help="a site's settings")
    parser.add_argument("output", help="the file for the server")
    arguments = parser.parse_args()
    site = Site(load_site(arguments.site))
    weights = site.initial()
    save_weights(weights, arguments.output, terms=site.terms, task=site.task)
    print(f"{arguments.output}: {len(weights)} tensors, {byte_count(weights):,} bytes")


if __name__ == "__main__":
    main()
