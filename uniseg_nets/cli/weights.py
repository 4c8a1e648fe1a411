"""The verbs of the ``uniseg`` command that get weights and convert them."""

from __future__ import annotations

from pathlib import Path

from uniseg_nets.cli.values import absent_file, existing_file, new_file
from uniseg_nets.io.bundles import bundle_folder, model_file

__all__ = ["convert", "fetch_weights"]


def fetch_weights(*, file: str | None = None, output: str | None = None) -> None:
    """Print the licence of the authors' weights, download them, and write them to the bundle.

    Args:
        file: a checkpoint that is downloaded already (offline, behind a proxy); by default it is downloaded.
        output: file to write; by default models/model.pt of the bundle.
    """
    if file is not None:
        file = existing_file(file, "--file, a downloaded checkpoint")
    from uniseg_nets.weights.fetch import fetch_weights as fetch
    from uniseg_nets.weights.licence import AUTHORS_TERMS, terms_text

    target = Path(new_file(output, "--output")) if output else model_file(bundle_folder("uniseg_upstream"))
    print(terms_text(AUTHORS_TERMS), flush=True)
    checkpoint, digest = fetch(target, file)
    print(f"found:  {checkpoint}\nwrote:  {target}\nSHA-256 {digest}")


def convert(source: str, target: str, *, to_official: bool = False, half: bool = False) -> None:
    """Convert a checkpoint to the layout of this package and print its content.

    Args:
        source: a checkpoint of the authors or of this package.
        target: file to write, also .safetensors, which must not exist; its SHA-256 is written beside it.
        to_official: write the layout of the official release instead.
        half: write 16-bit numbers, which halves the size.
    """
    source = existing_file(source, "SOURCE, a checkpoint")
    absent_file(target, "TARGET")
    from uniseg_nets.quality.fingerprint import carry_fingerprint
    from uniseg_nets.weights.checkpoints import convert as convert_file

    checkpoint, digest = convert_file(source, target, to_official, half)
    carry_fingerprint(source, target)
    print(f"found:  {checkpoint}\nwrote:  {target}\nSHA-256 {digest}")
