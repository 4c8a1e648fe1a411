"""Four CT side by side in one of 512 x 512 x 200 voxels: as many windows as a scan at the official spacing has.

    python -m benchmarks.mosaic OUT.nii.gz SCAN SCAN SCAN SCAN

No shipped weights know an organ at the official spacing, where such a scan has 12 windows of 64 x 192 x 192. At the
3 x 4 x 4 mm of the task `head_neck` this one has as many, since it covers 300 x 1092 x 1092 mm; with a head and neck
first and three abdomens after it, the organs of the task are at one place, as in a scan of a whole body.
"""

from __future__ import annotations

import argparse

import nibabel as nib
import numpy as np
from monai import transforms as mt

_SPACING = (4 * 273 / 512, 4 * 273 / 512, 1.5)  # x, y, z in mm
_TILE = (256, 256, 200)
_AIR = -1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output")
    parser.add_argument("scans", nargs=4)
    options = parser.parse_args()
    tile = mt.Compose(
        [
            mt.LoadImage(ensure_channel_first=True),
            mt.Orientation("RAS", labels=None),
            mt.Spacing(_SPACING),
            mt.ResizeWithPadOrCrop(_TILE, constant_values=_AIR),
        ]
    )
    tiles = [np.asarray(tile(scan))[0] for scan in options.scans]
    rows = [np.concatenate(pair, axis=1) for pair in (tiles[:2], tiles[2:])]
    mosaic = np.concatenate(rows).round().astype(np.int16)
    nib.save(nib.Nifti1Image(mosaic, np.diag([*_SPACING, 1.0])), options.output)


if __name__ == "__main__":
    main()
