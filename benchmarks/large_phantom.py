"""A phantom CT on the grid of a large clinical scan: 512 x 512 x 200 voxels of 0.8 x 0.8 x 1.5 mm, air around it.

    uniseg phantom PHANTOMS --task spleen --count 1
    python -m benchmarks.large_phantom PHANTOMS/spleen/imagesTr/spleen_0000_0000.nii.gz SCAN.nii.gz

Networks that were trained on phantoms know its organs, and it has as many windows as a real scan.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.processing import resample_from_to

_SHAPE, _SPACING, _AIR = (512, 512, 200), (0.8, 0.8, 1.5), -1000.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("phantom", type=Path)
    parser.add_argument("scan", type=Path)
    options = parser.parse_args()
    nib.save(enlarged(nib.load(options.phantom)), options.scan)


def enlarged(phantom: nib.Nifti1Image) -> nib.Nifti1Image:
    """The phantom in the middle of the large grid."""
    affine = np.diag([*_SPACING, 1.0])
    centre = phantom.affine @ [*((np.array(phantom.shape) - 1) / 2), 1]
    affine[:3, 3] = centre[:3] - np.array(_SPACING) * (np.array(_SHAPE) - 1) / 2
    large = resample_from_to(phantom, (_SHAPE, affine), order=1, cval=_AIR)
    return nib.Nifti1Image(np.round(large.get_fdata()).astype(np.int16), affine)


if __name__ == "__main__":
    main()
