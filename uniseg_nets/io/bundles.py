"""The bundles of this distribution."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

__all__ = ["INFERENCE", "MODEL", "MODES", "bundle_folder", "bundle_root", "config_file", "mode_configs", "model_file"]

# A folder with this file is a bundle that can segment.
INFERENCE = "configs/inference.json"
# What the weights of a network are called; a bundle's own lie in its folder ``models``.
MODEL = "model.pt"
# What a mode lays over the inference.
MODES = {"accurate": ("accurate.json",), "balanced": (), "fast": ("fast.json",)}
_PACKAGE = Path(__file__).parents[1]


def bundle_folder(name: str) -> Path:
    """The folder of a bundle of this distribution: inside the installed package, or beside it in a checkout.

    Raises:
        FileNotFoundError: if there is no such bundle.
    """
    candidates = [_PACKAGE / "bundles", _PACKAGE.parent / "bundles"]
    for candidate in candidates:
        if (candidate / name / "configs").is_dir():
            return candidate / name
    known = sorted({path.parents[1].name for candidate in candidates for path in candidate.glob(f"*/{INFERENCE}")})
    if not known:
        raise FileNotFoundError(f"no bundle {name!r} at {' or '.join(map(str, candidates))}: install uniseg-nets again")
    raise FileNotFoundError(f"no bundle {name!r}: expected a bundle's folder or zip, or one of {', '.join(known)}")


def bundle_root(bundle: str | PathLike[str]) -> Path:
    """The folder of a bundle, given as a folder or as a name of this distribution. A folder comes first.

    Raises:
        FileNotFoundError: there is no such folder and no bundle of that name, or the folder has no configs.
    """
    folder = Path(bundle)
    if not str(bundle) or not folder.is_dir():
        return bundle_folder(str(bundle)).resolve()
    if not (folder / "configs").is_dir():
        raise FileNotFoundError(f"no bundle at {folder}: expected a folder `configs` in it")
    return folder.resolve()


def config_file(name: str | PathLike[str], bundle: Path | None = None) -> Path:
    """The config of a path; where nothing lies there, the one of this name in a bundle's ``configs``.

    Raises:
        FileNotFoundError: neither is there; the message has both paths.
    """
    candidates = [Path(name)] if bundle is None else [Path(name), bundle / "configs" / name]
    for candidate in candidates:
        if candidate.is_file():
            return candidate.resolve()
    raise FileNotFoundError(f"no config {' or '.join(map(str, dict.fromkeys(candidates)))}")


def model_file(bundle: Path, name: str = MODEL) -> Path:
    """Where a bundle's weights lie: ``models/model.pt``, or another file beside it."""
    return bundle / "models" / name


def mode_configs(bundle: Path, mode: str) -> list[Path]:
    """The configs that a mode lays over a bundle's inference.

    Raises:
        ValueError: if there is no such mode, or the bundle lacks it.
    """
    names = MODES.get(mode) if isinstance(mode, str) else None
    files = [bundle / "configs" / name for name in names or ()]
    if names is None or not all(file.is_file() for file in files):
        raise ValueError(f"bundle {bundle.name} has no mode {mode!r}: expected one of {', '.join(MODES)}")
    return files
