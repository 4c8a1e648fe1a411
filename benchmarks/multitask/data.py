"""Seven partly labelled tasks from real scans: disjoint CT cases for each organ, a fixed split.

UNISEG_TEST_DATA=DIR python -m benchmarks.multitask.data OUT [--shared_scans]
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import nibabel as nib
import numpy as np

from uniseg_nets.io.files import atomic_path, write_json

SEED = 2023
# Organ tasks: label values in the abdominal CT scans that become 1.
ORGANS = {"liver": (6,), "kidney": (2, 3), "spleen": (1,), "pancreas": (11,)}
_HELD_CT = 8  # scans that no task trains on; every organ is evaluated on all of them
# Other tasks: folder, cases to train on, cases held.
_OTHERS = {
    "prostate": ("prostate_mr", 18, 8),
    "sarcoma": ("sarcoma_petct", 20, 8),
    "hippocampus": ("hippocampus_mr", 24, 8),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--shared_scans", action="store_true", help="every organ learns from every scan not held")
    arguments = parser.parse_args()
    output = arguments.output
    root = Path(os.environ["UNISEG_TEST_DATA"]) / "data"
    datalist: dict[str, list[dict[str, object]]] = {"training": [], "validation": []}
    ct = _shuffled(root / "abdomen_ct_3mm")
    held, rest = ct[:_HELD_CT], ct[_HELD_CT:]
    for index, (task, values) in enumerate(ORGANS.items()):
        own = rest if arguments.shared_scans else rest[index :: len(ORGANS)]
        for section, names in (("training", own), ("validation", held)):
            for name in names:
                label = output / "labels" / task / f"{name}.nii.gz"
                write_organ(root / "abdomen_ct_3mm" / "labelsTr" / f"{name}.nii.gz", values, label)
                datalist[section].append(_entry(root / "abdomen_ct_3mm", name, task, 1, label))
    for task, (folder, train, test) in _OTHERS.items():
        names = _shuffled(root / folder)
        channels = 2 if task == "sarcoma" else 1
        for section, members in (("training", names[:train]), ("validation", names[train : train + test])):
            for name in members:
                label = root / folder / "labelsTr" / f"{name}.nii.gz"
                datalist[section].append(_entry(root / folder, name, task, channels, label))
    write_json(output / "datalist.json", datalist)
    print({section: len(cases) for section, cases in datalist.items()})


def held_cases(folder: Path) -> set[str]:
    """The cases of a data set that no multi-task training saw; of one that took no part, four cases drawn alike."""
    first, count = next(((train, test) for name, train, test in _OTHERS.values() if name == folder.name), (0, 4))
    return set(_shuffled(folder)[first : first + count])


def _shuffled(folder: Path) -> list[str]:
    names = sorted(path.name.removesuffix(".nii.gz") for path in (folder / "labelsTr").glob("*.nii.gz"))
    return [str(name) for name in np.random.default_rng(SEED).permutation(names)]


def write_organ(source: Path, values: tuple[int, ...], target: Path) -> None:
    """A label map of one organ, as 1, from one of many."""
    scan = nib.Nifti1Image.from_filename(source)
    mask = np.isin(np.asarray(scan.dataobj), values).astype(np.uint8)
    with atomic_path(target) as temporary:
        nib.save(nib.Nifti1Image(mask, scan.affine), temporary)


def _entry(folder: Path, name: str, task: str, channels: int, label: Path) -> dict[str, object]:
    images = [str((folder / "imagesTr" / f"{name}_{channel:04d}.nii.gz").resolve()) for channel in range(channels)]
    return {"name": name, "image": images, "label": str(label.resolve()), "task": task}


if __name__ == "__main__":
    main()
