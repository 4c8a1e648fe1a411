"""The verbs of the ``uniseg`` command that get weights and convert them."""

from __future__ import annotations

from pathlib import Path

from uniseg_nets.cli.values import existing, new_file
from uniseg_nets.io.bundles import bundle_folder, model_file

__all__ = ["convert", "fetch_weights"]


def fetch_weights(*, file: str | None = None, output: str | None = None) -> None:
    """Print the licence of the authors' weights, get them and put them where the bundle looks for them.

    Args:
        file: a checkpoint downloaded already (offline, behind a proxy); downloaded by default.
        output: another place than the bundle's models/model.pt.
    """
    if file is not None:
        file = existing(file)
    from uniseg_nets.weights.fetch import fetch_weights as fetch
    from uniseg_nets.weights.licence import AUTHORS_TERMS, terms_text

    target = Path(new_file(output, "--output")) if output else model_file(bundle_folder("uniseg_upstream"))
    print(terms_text(AUTHORS_TERMS), flush=True)
    checkpoint, digest = fetch(target, file)
    print(f"found:  {checkpoint}\nwrote:  {target}\nSHA-256 {digest}")


def convert(source: str, target: str, *, to_official: bool = False, half: bool = False) -> None:
    """Convert a checkpoint to our layout and print what it holds.

    Args:
        source: the official release's file, or ours.
        target: file to write, also .safetensors; its SHA-256 goes beside it.
        to_official: write the official layout instead.
        half: write numbers of 16 bits, for half the size.
    """
    source = existing(source)
    if Path(new_file(target, "TARGET")).exists() and Path(target).samefile(source):
        raise ValueError(f"{target} is SOURCE itself: choose another name for what is written")
    from uniseg_nets.weights.checkpoints import convert as convert_file

    checkpoint, digest = convert_file(source, target, to_official, half)
    print(f"found:  {checkpoint}\nwrote:  {target}\nSHA-256 {digest}")
