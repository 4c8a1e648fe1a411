"""Packs a fine-tuned network as a bundle of its own."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from datetime import date
from os import PathLike
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from uniseg_nets.bundle.contents import absent_zip, zip_bundle
from uniseg_nets.bundle.run import merged_config
from uniseg_nets.io.bundles import MODEL, bundle_folder, model_file
from uniseg_nets.io.files import read_json, write_json
from uniseg_nets.plan.read import read_plan
from uniseg_nets.quality.fingerprint import carry_fingerprint
from uniseg_nets.tasks import AXES, TaskTable
from uniseg_nets.version import __version__
from uniseg_nets.weights.checkpoints import save_weights
from uniseg_nets.weights.licence import AUTHORS_TERMS, TERMS, strictest, terms_of, terms_text
from uniseg_nets.weights.trained_task import trained_task
from uniseg_nets.weights.transfer import load_finetuned

__all__ = ["pack_bundle"]

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
        FileExistsError: the zip exists.
        FileNotFoundError: the plan or a weights file does not exist.
        ValueError: the plan has no task, the weights do not fit it or were trained for another one, or the version is
            not three numbers.
    """
    if not _VERSION.fullmatch(version):
        raise ValueError(f"version is {version!r}, expected three numbers such as 1.0.0")
    planned = read_plan(plan)
    content = {key: value for key, value in planned.items() if key not in _PRIVATE}
    terms = _terms(planned, weights)
    entry = content["task_entry"]
    task = TaskTable([entry]).tasks[0]
    name = re.sub(r"\W+", "_", task.name).strip("_").lower()
    absent_zip(output, name, version)
    source = bundle_folder(_SOURCE)
    models = [MODEL] if len(weights) == 1 else [f"fold{index}.pt" for index in range(len(weights))]
    own_weights = [f"$@bundle_root + '/models/{model}'" for model in models]
    inference = merged_config(source / "configs" / "inference.json", content, {"weights": own_weights})
    again: dict[str, Any] = {"pretrained": own_weights[0], "new_tensors": [], "pretrained_license": terms}
    again["loaded_network#task"] = "@task_entry"  # of which the packed heads are
    again["ckpt_dir"] = "$@bundle_root + '/models/trained'"  # beside the packed weights
    train = merged_config(source / "configs" / "train.json", content, again)
    network = ConfigParser(inference).get_parsed_content("network_def")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / name
        for file, model in zip(weights, models):
            state = load_finetuned(network, file, task=entry).state_dict()
            save_weights(state, model_file(root, model), terms=terms, task=trained_task(entry, network))
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
        "weights_license": f"{TERMS[terms].summary}, see {terms}" if terms else "unnamed",
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
        f"The weights are {TERMS[terms].summary}: see {terms}."
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

It can be trained further on new data with the same labels in the same order. A new plan has the preprocessing of that
training, and its weights, in models/trained, are used with this plan alone:

    uniseg plan NEW_DATA --weights none --out plan.json
    python -m monai.bundle run --config_file "['configs/train.json','plan.json']" --dataset_dir NEW_DATA
    uniseg segment SCANS OUT --bundle . --plan plan.json --weights models/trained/model.pt

Research only: not a medical device, not for diagnosis or treatment. Say here on which data it was trained and how good
it is on which others. {words}
"""


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
