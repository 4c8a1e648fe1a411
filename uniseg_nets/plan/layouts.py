"""The layouts of labelled data sets.

The one rule: only JSON is opened here; :mod:`uniseg_nets.plan.fingerprint` reads the scans.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from uniseg_nets.data.datalist import load_datalist
from uniseg_nets.data.dataset_json import labels_of
from uniseg_nets.io.files import read_json
from uniseg_nets.io.names import SCAN_ENDINGS, scan_name, scan_stem

__all__ = ["DataSet", "read_layout"]

# Words in names of label files and folders.
_LABEL_WORDS = re.compile(r"label|seg|mask|annot|truth|(^|[_\-.])gt([_\-.]|$)", re.IGNORECASE)
_SECTIONS = ("training", "validation")
# Keys of a datalist that define splits.
_DIVISION = ("group", "fold", "section")


@dataclass(frozen=True)
class DataSet:
    """Labelled cases, and the description of their data set.

    Attributes:
        root: folder of the data set.
        cases: each ``{"name", "image": [paths, one per channel], "label": path}``, sorted by name. Cases of a datalist
            also have their ``section`` and, if given, ``group`` and ``fold``.
        channels: names of the channels, if the data set has them.
        labels: value -> name of the foreground classes, if the data set has them.
        unpaired: names of images without a label map, and of label maps without an image.
    """

    root: Path
    cases: list[dict[str, Any]]
    channels: tuple[str, ...] | None
    labels: dict[int, str] | None
    unpaired: tuple[str, ...] = ()


def read_layout(source: str | PathLike[str]) -> DataSet:
    """Finds the labelled cases at ``source``, which is one of

    - an nnU-Net folder: ``imagesTr``, ``labelsTr`` and ``dataset.json`` (its versions 1 and 2);
    - a Decathlon ``dataset.json`` or a MONAI datalist, or a folder with either: lists of ``image`` and ``label``;
    - a folder with one sub-folder of label maps, recognised by its name, and one of images, or one per channel;
    - a folder with one sub-folder per case, in which the name of one file shows that it is the label map.

    Raises:
        FileNotFoundError: if there is no such path.
        ValueError: if the layout is unknown, or there is no labelled case.
    """
    source = Path(source)
    if not source.exists():
        raise FileNotFoundError(f"no file or folder {source}")
    if source.is_file():
        data = _from_json(source)
    elif (source / "dataset.json").is_file():
        data = _from_json(source / "dataset.json")
    elif (source / "datalist.json").is_file():
        data = _from_json(source / "datalist.json")
    else:
        data = _from_folders(source)
    if not data.cases:
        some = f"; without a counterpart are {', '.join(data.unpaired[:5])}" if data.unpaired else ""
        raise ValueError(f"{source} holds no image with a label map of the same name{some}")
    return data


def _from_json(path: Path) -> DataSet:
    content = read_json(path)
    channels, labels = _channels(content, path), labels_of(content, path)
    listed = [
        {**case, "section": section}
        for section in _SECTIONS
        if content.get(section)
        for case in load_datalist(path, section)
    ]
    if not listed:
        return _paired(path.parent, path.parent / "labelsTr", [path.parent / "imagesTr"], channels, labels)
    labelled = [case for case in listed if "label" in case]
    tasks = sorted({str(case["task"]) for case in labelled if "task" in case})
    if len(tasks) > 1:
        raise ValueError(
            f"{path} has cases of the tasks {', '.join(tasks)}, whose label values mean different classes: plan a data "
            "set of one task, such as a datalist made by `uniseg prepare` in a folder of its own"
        )
    groups = {str(case["group"]) for case in labelled if "group" in case}
    for case in labelled:  # a case whose name is its patient's needs no group in a datalist
        if str(case["name"]) in groups:
            case.setdefault("group", str(case["name"]))
    # The label map gives the case's name: an image's name may end in a channel, or in a number that looks like one.
    names = [scan_stem(case["label"]) for case in labelled]
    if len(set(names)) < len(names):
        names = [str(case["name"]) for case in labelled]
    if len(set(names)) < len(names):
        raise ValueError(f"{path}: several cases have one name: give every entry its own `name`")
    cases = []
    for name, case in sorted(zip(names, labelled), key=lambda pair: pair[0]):
        image = case["image"] if isinstance(case["image"], list) else _channel_files(Path(case["image"]))
        division = {key: case[key] for key in _DIVISION if key in case}
        cases.append({"name": name, "image": image, "label": case["label"], **division})
    unpaired = tuple(str(case["name"]) for case in listed if "label" not in case)
    return DataSet(path.parent, cases, channels, labels, unpaired)


def _channel_files(listed: Path) -> list[str]:
    """The files of a listed image; for ``CASE.nii.gz`` perhaps ``CASE_0000.nii.gz`` and so on (nnU-Net version 1)."""
    if listed.exists():
        return [str(listed)]
    name = scan_stem(listed)
    files = sorted(listed.parent.glob(f"{name}_[0-9][0-9][0-9][0-9].*")) if listed.parent.is_dir() else []
    return [str(path) for path in files] or [str(listed)]


def _channels(content: Mapping[str, Any], path: Path) -> tuple[str, ...] | None:
    named = content.get("channel_names") or content.get("modality")
    if named is None:
        return None
    if isinstance(named, str):  # of Auto3DSeg
        return (named,)
    if isinstance(named, list) and all(isinstance(name, str) for name in named):
        return tuple(named)
    if not isinstance(named, Mapping):
        key = "channel_names" if "channel_names" in content else "modality"
        raise ValueError(f'{path}: "{key}" is {named!r}, expected {{"0": "CT", ...}}, a list of names, or one name')
    return tuple(str(named[key]) for key in sorted(named, key=int))


def _from_folders(root: Path) -> DataSet:
    folders = [path for path in sorted(root.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    labels = [folder for folder in folders if _LABEL_WORDS.search(folder.name)]
    images = [folder for folder in folders if folder not in labels]
    if len(labels) == 1 and images:
        channels = tuple(folder.name for folder in images) if len(images) > 1 else None
        return _paired(root, labels[0], images, channels, None)
    if len(labels) > 1:
        raise ValueError(f"{root} has several folders of label maps ({', '.join(f.name for f in labels)}): keep one")
    cases, unpaired = [], []
    names: set[tuple[str, ...]] = set()
    for folder in folders:
        scans = _scans(folder)
        maps = [path for path in scans if _LABEL_WORDS.search(path.name)]
        if len(maps) != 1 or len(scans) < 2:
            unpaired.append(folder.name)
            continue
        others = [path for path in scans if path != maps[0]]
        names.add(tuple(scan_stem(path).removeprefix(folder.name).strip("_-.") for path in others))
        cases.append({"name": folder.name, "image": [str(path) for path in others], "label": str(maps[0])})
    channels = next(iter(names)) if len(names) == 1 and all(next(iter(names))) else None
    return DataSet(root, cases, channels, None, tuple(unpaired))


def _scans(folder: Path) -> list[Path]:
    """The scans of a folder, without hidden files such as the ``._case.nii.gz`` of archives made on a Mac."""
    shown = [path for path in folder.iterdir() if not path.name.startswith(".")]
    return sorted(path for path in shown if path.name.lower().endswith(SCAN_ENDINGS))


def _paired(
    root: Path,
    label_folder: Path,
    image_folders: list[Path],
    channels: tuple[str, ...] | None,
    labels: dict[int, str] | None,
) -> DataSet:
    """Cases whose label map and images have the same name. Images are in one folder, or in one per channel."""
    missing = [str(folder) for folder in (label_folder, *image_folders) if not folder.is_dir()]
    if missing:
        raise FileNotFoundError(f"no folder {', '.join(missing)}")
    maps = {scan_stem(path): str(path) for path in _scans(label_folder)}
    by_folder: list[dict[str, list[str]]] = []
    for folder in image_folders:
        images: dict[str, list[str]] = {}
        for path in _scans(folder):
            name = scan_stem(path) if scan_stem(path) in maps else scan_name(path)[0]
            images.setdefault(name, []).append(str(path))
        by_folder.append(images)
    names = set(maps).intersection(*by_folder)
    others = set(maps).union(*by_folder) - names
    cases = [
        {"name": name, "image": [file for images in by_folder for file in images[name]], "label": maps[name]}
        for name in sorted(names)
    ]
    return DataSet(root, cases, channels, labels, tuple(sorted(others)))
