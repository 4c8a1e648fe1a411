"""Which modality the open 2D weights recognise in held images, and in images that they do not know.

    python -m benchmarks.open_weights_2d.recognise IMAGES DATA WEIGHTS

IMAGES has a folder per data set, each with ``images``; DATA has the datalist. Folders of other sets than those of the
weights hold other kinds of images, such as dermoscopy, which should be refused.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from benchmarks.open_weights_2d.data import SETS, held_images
from uniseg_nets.image2d import find_pictures
from uniseg_nets.io.bundles import bundle_folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    options = parser.parse_args()
    held = held_images(options.data)
    groups: dict[str, list[dict[str, Any]]] = {
        f"{modality}, held": [case for case in held if case["modality"] == modality] for modality in SETS
    }
    for folder in sorted(path for path in options.images.iterdir() if path.name not in SETS.values()):
        groups[folder.name] = find_pictures(folder / "images")
    configs = bundle_folder("esp_medsam_2d") / "configs"
    inference = ConfigParser()
    inference.read_config([str(configs / name) for name in ("inference.json", "small.json", "open.json")])
    inference["weights"] = str(options.weights.absolute())
    recognise = inference.get_parsed_content("preprocessing")
    print("| images | recognised as | refused |\n|---|---|---|")
    for name, cases in groups.items():
        counts: Counter[str] = Counter(_recognised(recognise, case["image"]) for case in cases)
        refused = counts.pop("", 0)
        listed = ", ".join(f"{modality} {count}" for modality, count in counts.most_common())
        print(f"| {name}, {len(cases)} | {listed} | {refused} |")


def _recognised(preprocessing: Any, image: Any) -> str:
    """The recognised modality; an empty text if the image is refused."""
    try:
        return str(preprocessing({"image": image, "modality": "auto"})["modality"])
    except Exception:  # MONAI wraps the refusal
        return ""


if __name__ == "__main__":
    main()
