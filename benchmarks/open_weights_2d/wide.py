"""Held ultrasound images in the shape that HC18 has itself, 800 x 540 pixels, as users may have them.

    python -m benchmarks.open_weights_2d.wide DATA WIDE

DATA has the datalist. Writes images and masks, and ``WIDE/datalist.json`` for an evaluation.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

from benchmarks.open_weights_2d.data import held_images
from uniseg_nets.io.files import write_json

_SIZE = (800, 540)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("wide", type=Path)
    options = parser.parse_args()
    resampling = {"image": Image.Resampling.BICUBIC, "label": Image.Resampling.NEAREST}
    entries = []
    for case in held_images(options.data):
        if case["modality"] != "ultrasound":
            continue
        entry = {"modality": "ultrasound"}
        for key, method in resampling.items():
            path = options.wide / f"{key}s" / f"{case['name']}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.open(case[key]).resize(_SIZE, method).save(path)
            entry[key] = path.relative_to(options.wide).as_posix()
        entries.append(entry)
    write_json(options.wide / "datalist.json", {"validation": entries})


if __name__ == "__main__":
    main()
