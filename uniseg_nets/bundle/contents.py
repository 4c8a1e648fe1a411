"""The files of a bundle that are passed on, and bundles as versioned zips, which MONAI downloads, loads and serves."""

from __future__ import annotations

import json
import logging
import shutil
import zipfile
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from uniseg_nets.io.files import atomic_path, read_json
from uniseg_nets.io.messages import listing

__all__ = ["absent_zip", "bundle_files", "copy_files", "zip_bundle"]

logger = logging.getLogger(__name__)

# What a bundle is made of: endings of the files in its folders, and names of those beside the folders. Anything else in
# the folder, such as scans, label maps and plans, may be a patient's and is not passed on.
_WEIGHTS = (".pt", ".safetensors", ".ts", ".onnx")
_BESIDE_WEIGHTS = (".sha256", ".license", ".base", ".task.json", ".fingerprint.json")
_PARTS = {
    "configs": (".json", ".yaml", ".yml", ".conf"),
    "docs": (".md", ".txt", ".json", ".png", ".jpg", ".jpeg", ".gif", ".svg", ".pdf"),
    "models": (*_WEIGHTS, *(f"{one}{own}" for one in _WEIGHTS for own in _BESIDE_WEIGHTS)),
    "scripts": (".py",),
}
_BESIDE_PARTS = ("LICENSE*", "README*", "large_files.yml", "requirements*.txt")
_CHECKPOINTS = "checkpoint*"  # of a training that goes on
# Sections of plans and datalists, which name cases.
_CASES = ("data", "training", "validation", "test", "testing")
_SHOWN = 5


def zip_bundle(bundle: str | PathLike[str], output: str | PathLike[str]) -> Path:
    """Writes a bundle's folder as ``OUTPUT/NAME_vVERSION.zip``, with the version of its metadata; returns the zip.

    What is no part of a bundle is left out, see :func:`bundle_files`.

    Raises:
        FileExistsError: the zip exists.
        FileNotFoundError: the bundle does not exist.
        ValueError: the bundle has a link to a folder, or to a file outside of it.
    """
    bundle = Path(bundle)
    if bundle.name in ("", ".."):  # as `.` has, whose folder has a name
        bundle = bundle.resolve()
    version = read_json(bundle / "configs" / "metadata.json")["version"]
    target = absent_zip(output, bundle.name, version)
    files = bundle_files(bundle)
    with atomic_path(target) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            archive.write(path, Path(bundle.name) / path.relative_to(bundle))
    return target


def absent_zip(output: str | PathLike[str], name: str, version: str) -> Path:
    """The path of a bundle's zip, ``OUTPUT/NAME_vVERSION.zip``, which must not exist.

    Raises:
        FileExistsError: the file exists.
    """
    target = Path(output) / f"{name}_v{version}.zip"
    if target.exists():
        raise FileExistsError(f"{target} exists already: choose another OUTPUT, or move it away")
    return target


def bundle_files(bundle: Path, replaced: Sequence[str] = ()) -> list[Path]:
    """The files of a bundle that are passed on: configs, documents, weights with what belongs to them, licences.

    All others, such as scans, results of runs, plans, datalists, checkpoints and archives, are left out; the log names
    some.

    Args:
        bundle: folder of the bundle.
        replaced: patterns of files of the bundle that are left out too, without a word.

    Raises:
        ValueError: what would be passed on is a link to a folder, or to what lies outside of the bundle.
    """
    found = sorted(path for path in bundle.rglob("*") if path.is_symlink() or not path.is_dir())
    parts = [path for path in found if _is_part(path, bundle)]
    kept = [path for path in parts if not any(path.relative_to(bundle).match(pattern) for pattern in replaced)]
    _refuse_links(kept, bundle)
    plans = [path for path in kept if not path.is_relative_to(bundle / "models") and _names_cases(path)]
    left_out = [path.relative_to(bundle).as_posix() for path in found if path not in parts or path in plans]
    if left_out:
        logger.info("no part of a bundle, left out (%d): %s", len(left_out), listing(left_out, shown=_SHOWN))
    return [path for path in kept if path not in plans]


def copy_files(files: Sequence[Path], bundle: Path, target: Path) -> None:
    """Copies files of a bundle to the same places below another folder."""
    for path in files:
        copy = target / path.relative_to(bundle)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


def _is_part(path: Path, bundle: Path) -> bool:
    """Whether a file, or a link, is by its place and name what a bundle is made of."""
    folder, *below = path.relative_to(bundle).parts
    if not below:
        return folder in _PARTS or any(path.match(pattern) for pattern in _BESIDE_PARTS)
    if folder not in _PARTS or path.match(_CHECKPOINTS) or any(part.startswith(".") for part in below):
        return False
    if path.is_symlink() and path.is_dir():
        return True
    return path.name.lower().endswith(_PARTS[folder])


def _names_cases(config: Path) -> bool:
    """Whether a config is a plan or a datalist, or has a list of cases, as a server's multi-GPU training writes one."""
    if config.suffix.lower() not in (".json", ".yaml", ".yml"):
        return False
    if config.suffix.lower() == ".json":
        content = json.loads(config.read_text(encoding="utf-8-sig"))
    else:
        content = ConfigParser.load_config_file(config)
    sections = isinstance(content, dict) and any(isinstance(content.get(section), list) for section in _CASES)
    return sections or _has_cases(content)


def _has_cases(content: Any) -> bool:
    """Whether a list of entries with an image, which is no reference or expression, is anywhere in a config."""
    if isinstance(content, dict):
        return any(_has_cases(value) for value in content.values())
    if not isinstance(content, list):
        return False
    images = [entry["image"] for entry in content if isinstance(entry, dict) and "image" in entry]
    return any(not str(image).startswith(("@", "$")) for image in images) or any(_has_cases(entry) for entry in content)


def _refuse_links(files: Sequence[Path], bundle: Path) -> None:
    for path in files:
        target = path.resolve()
        if path.is_symlink() and not (target.is_file() and target.is_relative_to(bundle.resolve())):
            raise ValueError(f"{path} is a link to {target}: put the files themselves into the bundle")
