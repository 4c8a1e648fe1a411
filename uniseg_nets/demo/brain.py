"""A real brain for the demonstration: nilearn's ICBM152 template, cropped around both hippocampi.

The template (2009a, symmetric) averages T1 scans of 152 people (Fonov et al., NeuroImage 54, 2011). Its authors' terms:

    Copyright (C) 1993-2009 Louis Collins, McConnell Brain Imaging Centre, Montreal Neurological Institute, McGill
    University. Permission to use, copy, modify, and distribute this software and its documentation for any purpose and
    without fee is hereby granted, provided that the above copyright notice appear in all copies. The authors and McGill
    University make no representations about the suitability of this software for any purpose. It is provided "as is"
    without express or implied warranty.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine

from uniseg_nets.demo.cases import DemoCase, segment_cases
from uniseg_nets.io.errors import not_installed
from uniseg_nets.io.files import atomic_path
from uniseg_nets.reports.preview import PreviewRow
from uniseg_nets.tasks import load_task_table

__all__ = ["segment_brain"]

# Boxes around the hippocampi in MNI space, mm (right, anterior, superior); as large as the training crops.
_BOXES = {
    "left side": ((-45, -48, -33), (-9, 4, 7)),
    "right side": ((9, -48, -33), (45, 4, 7)),
}


def segment_brain(output: Path) -> tuple[list[dict[str, Any]], list[PreviewRow]]:
    """Segments both hippocampi of the template with the open weights; returns rows and pictures, without a reference.

    Raises:
        NotInstalledError: if nilearn, which contains the template, is not installed.
    """
    try:
        from nilearn.datasets import load_mni152_template
    except ImportError as error:
        raise not_installed("the real brain of the demonstration", "nilearn") from error
    template = load_mni152_template(resolution=1)
    cases = []
    for name, corners in _BOXES.items():
        voxels = np.sort(apply_affine(np.linalg.inv(template.affine), np.asarray(corners)), axis=0).round().astype(int)
        path = output / "scans" / "hippocampus" / f"{name.replace(' ', '_')}.nii.gz"
        with atomic_path(path) as temporary:
            nib.save(template.slicer[tuple(slice(first, last) for first, last in voxels.T)], temporary)
        cases.append(DemoCase(name, [str(path)]))
    return segment_cases(cases, load_task_table("open").one("hippocampus"), output, ["open.json"])
