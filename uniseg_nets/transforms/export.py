"""From the network's scores to label maps in files: the inverse of :mod:`uniseg_nets.transforms.preprocess`."""

from __future__ import annotations

import json
import logging
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils.enums import MetaKeys
from torch import Tensor

from uniseg_nets.io.messages import NOT_FINITE
from uniseg_nets.io.names import (
    NIFTI_ENDINGS,
    REDUCED_ENDINGS,
    REPORT_ENDING,
    REPORT_PAGES,
    SEGMENTATION_ENDING,
    STRUCTURES_ENDING,
)
from uniseg_nets.io.provenance import dicom_mark, nrrd_mark, read_record
from uniseg_nets.tasks import Task, TaskTable
from uniseg_nets.transforms.grid import flipped
from uniseg_nets.transforms.labels import load_label_map
from uniseg_nets.transforms.load import SERIES, series_record
from uniseg_nets.transforms.pieces import keep_largest_pieces
from uniseg_nets.transforms.preprocess import grid_of
from uniseg_nets.transforms.resample import argmax_values, resample_argmax
from uniseg_nets.transforms.result import VERDICT, ResultSaver

__all__ = ["LabelMapd", "SaveLabelMapd", "nifti_label_map", "read_label_map"]

logger = logging.getLogger(__name__)

# Header fields of free text. Like extensions, they may contain patient data.
_TEXTS = {"aux_file", "data_type", "db_name"}


class LabelMapd(MapTransform):
    """Scores of :class:`~uniseg_nets.inferers.sliding_window.UniSegInferer` -> label map on the file's grid.

    (sum of K, z, y, x) -> uint8 (1, x, y, z) with the file's affine. If several tasks label a voxel, the last one wins,
    as in the official merged maps. Memory is bounded: full-resolution scores exist for one slab at a time.

    Args:
        keys: key of the scores.
        tasks: the task table.
        task: the task of the inferer; ``None`` if each case has its own as ``task``.
        image_key: key of the preprocessed image, whose metadata describe the file's grid and the crop.
        values: ``global`` for the values of the union of all tasks, ``task`` for a single task's own 1, 2, ...

    Raises:
        ValueError: if there is no such task or kind of values, a merged task has ``values="task"``, or the scores have
            another number of channels or are NaN, which would become background.
    """

    def __init__(
        self,
        keys: KeysCollection,
        tasks: TaskTable,
        task: str | int | Sequence[str] | None = None,
        image_key: str = "image",
        values: str = "global",
    ) -> None:
        super().__init__(keys)
        self.tasks = tasks
        self.task = task
        self.image_key = image_key
        self.values = values
        if task is not None:
            tasks.label_names(task, values)  # a wrong name is reported now, not after the first prediction

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        image: MetaTensor = d[self.image_key]
        tasks = self.tasks.select(d["task"] if self.task is None else self.task)
        grid = grid_of(image, tasks[0])
        for key in self.key_iterator(d):
            scores: Tensor = d[key].as_tensor() if isinstance(d[key], MetaTensor) else d[key]
            if any(bool(channel.isnan().any()) for channel in scores):
                raise ValueError(NOT_FINITE)
            classes, values = self._classes(scores, tasks, grid.flips)
            prediction = resample_argmax(classes, values, grid.crop_shape, grid.coarse_axis)
            prediction = keep_largest_pieces(prediction, self._max_pieces(tasks))
            label = MetaTensor(grid.to_file(prediction)[None].cpu(), affine=torch.from_numpy(grid.file_affine))
            for name in ("filename_or_obj", MetaKeys.ORIGINAL_AFFINE, MetaKeys.SPATIAL_SHAPE):
                label.meta[name] = image.meta[name]
            if SERIES in image.meta:
                label.meta[SERIES] = image.meta[SERIES]
            d[key] = label
        return d

    def _max_pieces(self, tasks: Sequence[Task]) -> dict[int, int]:
        values = [list(self.tasks.label_names(task.name, self.values))[1:] for task in tasks]
        return {value: count for task, own in zip(tasks, values) for value, count in zip(own, task.max_pieces)}

    def _classes(self, scores: Tensor, tasks: Sequence[Task], flips: Sequence[int]) -> tuple[Tensor, list[int]]:
        """The volumes to interpolate, (class, z, y, x) in the stored direction, and the label value of each class.

        For one task these are its scores. For several they are the masks of the merged map, since scores of different
        tasks cannot be compared; the official pipeline merges on the network's grid too.
        """
        own_values = [list(self.tasks.label_names(task.name, self.values)) for task in tasks]
        if len(own_values) == 1:
            return flipped(scores, flips), own_values[0]
        merged = torch.zeros(scores.shape[1:], dtype=torch.uint8, device=scores.device)
        for part, values in zip(scores.split([len(values) for values in own_values]), own_values):
            own = argmax_values(part, values)
            merged = torch.where(own > 0, own, merged)
        merged = flipped(merged, flips)  # one byte per voxel; the scores have four per class
        present = merged.unique().tolist()
        return torch.stack([merged == value for value in present]), present


class SaveLabelMapd(ResultSaver):
    """Writes a label map as ``OUTPUT_DIR/NAME.nii.gz``, and beside it ``NAME.json`` with its labels and provenance.

    If each case has its own task, results are in ``OUTPUT_DIR/TASK/``.

    Not MONAI's writer: the header fields of a NIfTI input are kept (sform, qform and their codes), and files are
    written whole or not at all. The verdict of a case, if there is one, is part of the JSON.

    Args:
        keys: key of the label map.
        output_dir: folder for the results.
        tasks, task, values: as for :class:`LabelMapd`.
        name_key, weights, metadata: see :class:`~uniseg_nets.transforms.result.ResultSaver`.

    Raises:
        ValueError: if the result would overwrite its scan, or a file of another scan, task or user.
    """

    def __init__(
        self,
        keys: KeysCollection,
        output_dir: str | PathLike[str],
        tasks: TaskTable,
        task: str | int | Sequence[str] | None = None,
        values: str = "global",
        name_key: str = "name",
        weights: str | PathLike[str] | Sequence[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(keys, output_dir, name_key, weights, metadata)
        self.tasks = tasks
        self.task = task
        self.values = values

    def provenance(self, case: Mapping[Any, Any]) -> dict[str, Any]:
        task = case.get("task") if self.task is None else self.task
        if task is None:
            return super().provenance(case)
        selected = self.tasks.select(task)
        return {
            "task": self.tasks.word(task),
            "labels": {str(value): name for value, name in self.tasks.label_names(task, self.values).items()},
            "tasks": [asdict(one) for one in selected],
            **super().provenance(case),
        }

    def targets(self, case: Mapping[Any, Any]) -> tuple[Path, ...]:
        folder = self.output_dir
        if self.task is None:
            folder = folder / self.tasks.one(case["task"]).name
        name = case[self.name_key]
        return folder / f"{name}.nii.gz", folder / f"{name}.json"

    def exported(self, case: Mapping[Any, Any]) -> list[Path]:
        target, name = self.targets(case)[0], case[self.name_key]
        report = target.parent / "report" / f"{name}.json"
        objects = [target.with_name(f"{name}{ending}") for ending in (".dcm", STRUCTURES_ENDING, REPORT_ENDING)]
        for_slicer = target.with_name(f"{name}{SEGMENTATION_ENDING}")
        pages = [target.with_name(page) for page in REPORT_PAGES]
        pictures = [report.with_name(f"{name}{ending}") for ending in (".png", *REDUCED_ENDINGS)]
        files = [] if read_record(report) is None else [report, *pictures, *pages]
        files += [one for one in objects if dicom_mark(one) is not None]
        return files if nrrd_mark(for_slicer) is None else [*files, for_slicer]

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        for key in self.key_iterator(d):
            label: MetaTensor = d[key]
            source = str(label.meta["filename_or_obj"])
            image = nifti_label_map(label.as_tensor()[0].numpy(), np.asarray(label.affine), Path(source))
            verdict = d[VERDICT].as_record() if VERDICT in d else {}
            details = {"label_map": self.targets(d)[0].name, **series_record(label), **verdict}
            self.write(d, source, details, partial(nib.save, image))
        return d


def read_label_map(folder: str | PathLike[str], name: str) -> tuple[MetaTensor, dict[int, str], dict[str, Any]]:
    """Reads the files of :class:`SaveLabelMapd` for a case.

    Returns:
        The label map (1, x, y, z), its classes (value -> name, without background), and the record in the JSON.

    Raises:
        FileNotFoundError, ValueError: if there is no such case, or its files cannot be read.
    """
    folder = Path(folder)
    record = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    names = {int(value): label for value, label in record["labels"].items() if int(value)}
    return load_label_map(folder / f"{name}.nii.gz"), names, record


def nifti_label_map(label: np.ndarray, affine: np.ndarray, source: Path) -> nib.Nifti1Image:
    """A label map as NIfTI, with the geometry fields of its scan's header if the scan is NIfTI."""
    header = None
    if source.name.lower().endswith(NIFTI_ENDINGS) and source.is_file():
        header = nib.load(source).header
    if not isinstance(header, nib.Nifti1Header):
        image = nib.Nifti1Image(label, affine)
        image.set_qform(affine, code="scanner")
        image.set_sform(affine, code="scanner")
        return image
    header = header.copy()
    header.set_data_dtype(np.uint8)
    header.set_slope_inter(1, 0)
    header["cal_min"] = header["cal_max"] = 0
    header.set_intent("none")  # a scan may be one of vectors or of colours
    for field in _TEXTS & set(header.keys()):
        header[field] = b""
    header["descrip"] = b"label map"
    header.extensions.clear()
    kind = nib.Nifti2Image if isinstance(header, nib.Nifti2Header) else nib.Nifti1Image
    # Without an affine argument nibabel keeps both sform and qform of the scan.
    return kind(label, None, header)
