"""Eight CT tasks, an organ each, as many as the official ones: every organ learns from every scan that is not held.

    UNISEG_TEST_DATA=DIR python -m benchmarks.organs.data OUT

The scans held are those of ``benchmarks.multitask``. Trained, at 4 mm, in ``bundles/uniseg_upstream`` by

    python -m monai.bundle run --config_file "['configs/train.json','../../benchmarks/multitask/experiment.json']" \
        --tasks_file ../../benchmarks/organs/tasks.json --dataset_dir OUT --output_dir OUT/run --ckpt_dir OUT/run \
        --network_def#spread_prompts True --max_epochs 80
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from benchmarks.multitask.data import HELD_CT, entry, shuffled, write_organ
from uniseg_nets.files import write_json

# Task: label values in the abdominal CT scans that become 1.
ORGANS = {
    "liver": (6,),
    "kidney": (2, 3),
    "portal_vein": (10,),
    "pancreas": (11,),
    "stomach": (7,),
    "gallbladder": (4,),
    "spleen": (1,),
    "aorta": (8,),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    output = parser.parse_args().output
    scans = Path(os.environ["UNISEG_TEST_DATA"]) / "data" / "abdomen_ct_3mm"
    names = shuffled(scans)
    datalist: dict[str, list[dict[str, object]]] = {}
    for section, members in (("training", names[HELD_CT:]), ("validation", names[:HELD_CT])):
        datalist[section] = []
        for task, values in ORGANS.items():
            for name in members:
                label = output / "labels" / task / f"{name}.nii.gz"
                write_organ(scans / "labelsTr" / f"{name}.nii.gz", values, label)
                datalist[section].append(entry(scans, name, task, 1, label))
    write_json(output / "datalist.json", datalist)
    print({section: len(cases) for section, cases in datalist.items()})


if __name__ == "__main__":
    main()
