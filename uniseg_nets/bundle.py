"""Running our bundles from Python: what ``python -m monai.bundle run`` does, with errors a user can read."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser, ConfigWorkflow

import uniseg_nets
from uniseg_nets.errors import root_error

__all__ = ["bundle_folder", "merged_config", "run_bundle"]


def bundle_folder(name: str) -> Path:
    """Where a bundle of this distribution lies: inside the installed package, or beside it in a checkout.

    Raises:
        FileNotFoundError: no such bundle.
    """
    package = Path(uniseg_nets.__file__).parent
    places = [package / "bundles" / name, package.parent / "bundles" / name]
    for place in places:
        if (place / "configs").is_dir():
            return place
    raise FileNotFoundError(f"no bundle {name!r} at {' or '.join(map(str, places))}: install uniseg-nets anew")


def merged_config(config: Path, *overlays: Mapping[str, Any]) -> dict[str, Any]:
    """A config file with overlays laid over it one after the other, as ``monai.bundle run`` does."""
    parser = ConfigParser()
    parser.read_config(str(config))
    for overlay in overlays:
        parser.update(dict(overlay))
    return {key: value for key, value in parser.get().items() if key != "_meta_"}


def run_bundle(name: str, configs: Sequence[str] = ("inference.json",), **overrides: Any) -> None:
    """Runs a bundle's configs, later ones laid over earlier ones, with some of their values replaced.

    Raises:
        Exception: whatever a part of the config raised, without MONAI's wrapping.
    """
    folder = bundle_folder(name)
    # Left as the caller has set it up, which MONAI would warn of.
    logging.getLogger("monai.bundle.workflows").setLevel(logging.ERROR)
    files = [str(folder / "configs" / config) for config in configs]
    try:
        workflow = ConfigWorkflow(
            files, logging_file=False, workflow_type="inference", bundle_root=str(folder), **overrides
        )
        workflow.initialize()
        workflow.run()
        workflow.finalize()
    except RuntimeError as error:
        raise root_error(error) from None
