"""Writes phantoms as nnU-Net folders, and as one MONAI datalist over several tasks."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from uniseg_nets.data.datalist import image_entry
from uniseg_nets.io.files import atomic_path, read_json, write_json
from uniseg_nets.phantom.patient import make_phantom
from uniseg_nets.tasks import Task

__all__ = ["write_phantom_tasks", "write_phantoms"]

_DESCRIPTION = "dataset.json"


def write_phantoms(folder: str | PathLike[str], task: Task, count: int, seed: int = 0) -> list[str]:
    """Writes ``count`` patients as an nnU-Net folder (imagesTr, labelsTr, dataset.json); returns the case names."""
    folder = Path(folder)
    names = [f"{task.name}_{patient:04d}" for patient in range(seed, seed + count)]
    labels = {path.name for path in (folder / "labelsTr").glob("*.nii.gz")} | {f"{name}.nii.gz" for name in names}
    description = {
        "name": _name(task),
        "channel_names": {str(i): modality for i, modality in enumerate(task.channels)},
        "labels": {"background": 0} | {name: value for value, name in enumerate(task.classes, start=1)},
        "numTraining": len(labels),
        "file_ending": ".nii.gz",
    }
    write_json(folder / _DESCRIPTION, description)  # first, so that the folder of a stopped run can be told
    for patient, name in enumerate(names, start=seed):
        phantom = make_phantom(task, patient)
        for channel, (volume, modality) in enumerate(zip(phantom.image, task.channels)):
            stored = volume if modality == "PET" else np.round(volume).astype(np.int16)
            with atomic_path(folder / "imagesTr" / f"{name}_{channel:04d}.nii.gz") as temporary:
                nib.save(nib.Nifti1Image(stored, phantom.affine), temporary)
        with atomic_path(folder / "labelsTr" / f"{name}.nii.gz") as temporary:
            nib.save(nib.Nifti1Image(phantom.label, phantom.affine), temporary)
    return names


def _name(task: Task) -> str:
    return f"{task.name} phantoms"


def _refuse_other(folder: Path, task: Task) -> None:
    """Refuses a folder with anything but phantoms of the task, by its description, whose scans could be replaced."""
    description = folder / _DESCRIPTION
    if description.is_file():
        if read_json(description).get("name") != _name(task):
            raise FileExistsError(
                f"{description} exists already, of another data set: choose another OUTPUT, or move it away"
            )
    elif folder.exists() and any(folder.iterdir()):
        raise FileExistsError(
            f"{folder} has files and no {_DESCRIPTION} of phantoms: choose another OUTPUT, or move it away"
        )


def write_phantom_tasks(
    folder: str | PathLike[str], tasks: Iterable[Task], count: int, validation: int = 0, seed: int = 0
) -> Path:
    """Writes each task's patients to ``folder/TASK`` and ``folder/datalist.json``, which names them all.

    Args:
        folder: folder to write.
        tasks: tasks of the patients.
        count: patients per task in the section ``training``.
        validation: further patients per task in the section ``validation``.
        seed: seed of the first patient of each task.

    Returns:
        The path of the datalist.

    Raises:
        FileExistsError: ``folder/TASK`` has anything but phantoms of the task.
    """
    folder, tasks = Path(folder), list(tasks)
    for task in tasks:
        _refuse_other(folder / task.name, task)
    datalist: dict[str, list[dict[str, Any]]] = {"training": [], "validation": []}
    for task in tasks:
        for index, name in enumerate(write_phantoms(folder / task.name, task, count + validation, seed)):
            files = [f"{task.name}/imagesTr/{name}_{channel:04d}.nii.gz" for channel in range(len(task.channels))]
            case = {
                "image": image_entry(files),
                "label": f"{task.name}/labelsTr/{name}.nii.gz",
                "task": task.name,
            }
            datalist["training" if index < count else "validation"].append(case)
    path = folder / "datalist.json"
    write_json(path, datalist)
    return path


def write_phantom_studies(folder: str | PathLike[str], tasks: Iterable[Task], seed: int = 7) -> list[str]:
    """Writes one scan per task as ``folder/TASK.nii.gz``, without label map. Several channels become one 4D file.

    Returns:
        The names of the files.
    """
    names = []
    for task in tasks:
        phantom = make_phantom(task, seed)
        channels = [volume.astype(np.float32) for volume in phantom.image]
        volume = channels[0] if len(channels) == 1 else np.stack(channels, axis=-1)
        with atomic_path(Path(folder) / f"{task.name}.nii.gz") as temporary:
            nib.save(nib.Nifti1Image(volume, phantom.affine), temporary)
        names.append(f"{task.name}.nii.gz")
    return names
