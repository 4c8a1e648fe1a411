"""The three centres' cases as data sets of one task, with held patients."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np

from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.prepare.split import draw_split

__all__ = ["CENTRES", "patient", "write_centre", "write_pooled"]

TASK = "left_ventricle"
SEED = 2023
# Centre -> the value of the left ventricle in its label maps.
CENTRES = {"cardiac_mr_centre_a": 3, "cardiac_mr_centre_b": 3, "left_ventricle_mr": 1}


def patient(case: str) -> str:
    """The patient of a case: names differ in frame or phase alone."""
    return case.split("_frame")[0].removesuffix("_ED").removesuffix("_ES")


def write_centre(source: Path, folder: Path) -> Path:
    """Writes label maps of the ventricle alone and ``datalist.json``; a fifth of the cases is held, by patient.

    The open weights were trained on some patients of ``left_ventricle_mr``: held are those that their training held.
    """
    value = CENTRES[source.name]
    names = sorted(path.name.removesuffix("_0000.nii.gz") for path in (source / "imagesTr").glob("*.nii.gz"))
    if source.name == "left_ventricle_mr":
        known = json.loads((bundle_folder("uniseg_upstream") / "docs" / "open_cases.json").read_text())[TASK]
        split = {"training": known["training"], "validation": known["held"]}
    else:
        split = draw_split({name: patient(name) for name in names}, 0.2, SEED)
    (folder / "labels").mkdir(parents=True, exist_ok=True)
    listed = {section: [_case(source, folder, name, value) for name in cases] for section, cases in split.items()}
    (folder / "datalist.json").write_text(json.dumps(listed, indent=1))
    return folder


def write_pooled(centres: list[Path], folder: Path) -> Path:
    """Writes one datalist with the cases of all centres."""
    listed: dict[str, list[dict[str, object]]] = {"training": [], "validation": []}
    for centre in centres:
        for section, cases in json.loads((centre / "datalist.json").read_text()).items():
            listed[section] += cases
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "datalist.json").write_text(json.dumps(listed, indent=1))
    return folder


def _case(source: Path, folder: Path, name: str, value: int) -> dict[str, object]:
    target = folder / "labels" / f"{name}.nii.gz"
    if not target.is_file():
        label = nib.Nifti1Image.from_filename(source / "labelsTr" / f"{name}.nii.gz")
        mask = np.asarray(label.dataobj) == value
        nib.save(nib.Nifti1Image(mask.astype(np.uint8), label.affine), target)
    image = [str(source / "imagesTr" / f"{name}_0000.nii.gz")]
    return {"name": name, "task": TASK, "image": image, "label": str(target)}
