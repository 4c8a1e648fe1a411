"""Writes bundles as versioned zips that MONAI downloads, loads and serves, and packs fine-tuned networks as bundles."""

from __future__ import annotations

import json
import logging
import re
import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from datetime import date
from os import PathLike
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from uniseg_nets.bundle.run import merged_config
from uniseg_nets.io.bundles import MODEL, bundle_folder, model_file
from uniseg_nets.io.files import atomic_path, read_json, write_json
from uniseg_nets.io.messages import listing
from uniseg_nets.quality.fingerprint import carry_fingerprint
from uniseg_nets.tasks import AXES, TaskTable
from uniseg_nets.version import __version__
from uniseg_nets.weights.checkpoints import save_weights
from uniseg_nets.weights.licence import AUTHORS_TERMS, SUMMARIES, mark_terms, strictest, terms_of, terms_text
from uniseg_nets.weights.transfer import load_finetuned

__all__ = ["bundle_files", "copy_files", "pack_bundle", "zip_bundle"]

logger = logging.getLogger(__name__)

_SOURCE = "uniseg_finetune"
# Parts of a plan with data of patients or of this machine, which are not packed.
_PRIVATE = ("data", "fingerprint", "pretrained", "pretrained_license", "pretrained_sizes")
_COPIED = (
    "configs/logging.conf",
    "configs/accurate.json",
    "configs/deploy.json",
    "configs/evaluate.json",
    "configs/fast.json",
    "configs/inference_openvino.json",
    "configs/inference_trt.json",
    "configs/multi_gpu_evaluate.json",
    "configs/multi_gpu_train.json",
    "configs/small.json",
    "LICENSE",
)
# What a bundle is made of: endings of the files in its folders, and names of those beside the folders. Anything else in
# the folder, such as scans, label maps and plans, may be a patient's and is not passed on.
_WEIGHTS = (".pt", ".safetensors", ".ts", ".onnx")
_BESIDE_WEIGHTS = (".sha256", ".license", ".base", ".fingerprint.json")
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
_VERSION = re.compile(r"\d+\.\d+\.\d+")


def pack_bundle(
    output: str | PathLike[str],
    plan: str | PathLike[str],
    weights: Sequence[str | PathLike[str]],
    version: str = "1.0.0",
) -> Path:
    """Packs a fine-tuned network as ``OUTPUT/NAME_vVERSION.zip``; NAME is the task of the plan.

    The zip has the configs merged with the plan, metadata with its labels, the weights, their hashes and their licence.
    It has no names of cases.

    Args:
        output: folder of the zip.
        plan: file of `uniseg plan`.
        weights: ``model.pt`` of the training; those of several folds make an ensemble.
        version: version of the packed bundle, three numbers.

    Returns:
        The zip.

    Raises:
        FileNotFoundError: the plan or a weights file does not exist.
        ValueError: the plan has no task, the weights do not fit it, or the version is not three numbers.
    """
    if not _VERSION.fullmatch(version):
        raise ValueError(f"version is {version!r}, expected three numbers such as 1.0.0")
    planned = read_json(Path(plan))
    content = {key: value for key, value in planned.items() if key not in _PRIVATE}
    if "task_entry" not in content:
        raise ValueError(f"{plan} is no plan: it lacks task_entry; `uniseg plan` writes one")
    terms = _terms(planned, weights)
    task = TaskTable([content["task_entry"]]).tasks[0]
    name = re.sub(r"\W+", "_", task.name).strip("_").lower()
    source = bundle_folder(_SOURCE)
    models = [MODEL] if len(weights) == 1 else [f"fold{index}.pt" for index in range(len(weights))]
    own_weights = [f"$@bundle_root + '/models/{model}'" for model in models]
    inference = merged_config(source / "configs" / "inference.json", content, {"weights": own_weights})
    again: dict[str, Any] = {"pretrained": own_weights[0], "new_tensors": [], "ckpt_dir": "$@bundle_root + '/models'"}
    again["pretrained_license"] = terms
    train = merged_config(source / "configs" / "train.json", content, again)
    network = ConfigParser(inference).get_parsed_content("network_def")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / name
        for file, model in zip(weights, models):
            save_weights(load_finetuned(network, file).state_dict(), model_file(root, model))
            mark_terms(model_file(root, model), terms)
            carry_fingerprint(file, model_file(root, model))
        texts = {"configs/inference.json": inference, "configs/train.json": train}
        texts["configs/metadata.json"] = _metadata(source, content, version, terms)
        for file in _COPIED:
            _write(root / file, (source / file).read_text(encoding="utf-8"))
        if terms:
            _write(root / terms, terms_text(terms))
        for file, config in texts.items():
            write_json(root / file, config)
        _write(root / "docs" / "README.md", _readme(name, content, terms))
        return zip_bundle(root, output)


def _terms(plan: Mapping[str, Any], weights: Sequence[str | PathLike[str]]) -> str | None:
    """The licence terms of the packed weights: the strictest of those of the plan and of the files."""
    # A plan made before plans named the licence may have started from the authors' weights.
    planned = plan.get("pretrained_license", AUTHORS_TERMS if plan.get("pretrained") else None)
    return strictest([planned, *(terms_of(file) for file in weights)])


def zip_bundle(bundle: str | PathLike[str], output: str | PathLike[str]) -> Path:
    """Writes a bundle's folder as ``OUTPUT/NAME_vVERSION.zip``, with the version of its metadata; returns the zip.

    What is no part of a bundle is left out, see :func:`bundle_files`.

    Raises:
        FileNotFoundError: the bundle does not exist.
        ValueError: the bundle has a link to a folder, or to a file outside of it.
    """
    bundle = Path(bundle)
    if bundle.name in ("", ".."):  # as `.` has, whose folder has a name
        bundle = bundle.resolve()
    version = read_json(bundle / "configs" / "metadata.json")["version"]
    target = Path(output) / f"{bundle.name}_v{version}.zip"
    files = bundle_files(bundle)
    with atomic_path(target) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            archive.write(path, Path(bundle.name) / path.relative_to(bundle))
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


def _metadata(source: Path, plan: Mapping[str, Any], version: str, terms: str | None) -> dict[str, Any]:
    metadata = read_json(source / "configs" / "metadata.json")
    entry = plan["task_entry"]
    metadata |= {
        "version": version,
        "changelog": {version: f"packed on {date.today().isoformat()} by uniseg-nets {__version__}"},
        "name": entry["name"],
        "task": f"Segmentation of {', '.join(entry['classes'])}",
        "description": f"UniSeg's U-Net, trained to segment {', '.join(entry['classes'])}.",
        "authors": "unnamed",
        "copyright": "unnamed",
        "data_source": "unnamed",
        "weights_license": f"{SUMMARIES[terms]}, see {terms}" if terms else "unnamed",
        "image_classes": ", ".join(entry["channels"]),
    }
    data = metadata["network_data_format"]
    image, pred = data["inputs"]["image"], data["outputs"]["pred"]
    image |= {"modality": entry["channels"][0], "num_channels": len(entry["channels"])}
    image |= {"spatial_shape": plan["patch_size"], "axes": entry.get("axes", AXES[0])}
    image["channel_def"] = {str(index): channel for index, channel in enumerate(entry["channels"])}
    pred |= {"num_channels": len(entry["classes"]) + 1, "spatial_shape": plan["patch_size"]}
    pred["channel_def"] = {"0": "background"} | {str(v): n for v, n in zip(entry["values"], entry["classes"])}
    return metadata


def _readme(name: str, plan: Mapping[str, Any], terms: str | None) -> str:
    entry = plan["task_entry"]
    words = (
        f"The weights are {SUMMARIES[terms]}: see {terms}."
        if terms
        else "Say here under which licence the weights are."
    )
    labels = "\n".join(f"- {value}: {label}" for value, label in zip(entry["values"], entry["classes"]))
    return f"""# {entry["name"]}

UniSeg's U-Net, trained for these labels. Channels in order: {", ".join(entry["channels"])}. Labels:

{labels}

    pip install CHECKOUT_OR_WHEEL        # of UniSeg for MONAI, uniseg-nets {__version__} or newer
    cd {name}
    python -m monai.bundle run --config_file configs/inference.json --dataset_dir DIR --output_dir OUT

Research only: not a medical device, not for diagnosis or treatment. Say here on which data it was trained and how good
it is on which others. {words}
"""


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
