"""How often the modality of a real image is recognised, and whether others are refused.

    UNISEG_TEST_DATA=DIR python -m benchmarks.esp_medsam.recognise OUT

Fitted to the training images of the experiment (``benchmarks.esp_medsam.run``, OUT is its folder), tried on its held
images, on CHASE, and on slices of a CT (DIR/data/examples/dicom_ct), which are of none of the modalities.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from pathlib import Path
from typing import Any

from monai.bundle import ConfigWorkflow

from benchmarks.esp_medsam.run import HELD, write_datalists
from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.nets.esp_medsam.recogniser import ModalityRecogniser


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    data = Path(os.environ["UNISEG_TEST_DATA"]) / "data"
    write_datalists(data / "images_2d", options.output)
    recogniser = ModalityRecogniser()
    for modality in HELD:
        recogniser.add(modality)
    recogniser.fit(_images(options.output, "train.json", "train"))
    sets = {name: [] for name in (*HELD, "chase", "CT")}
    for case in _images(options.output, "train.json", "validate"):
        sets[case["modality"]].append(case["image"])
    sets["chase"] = [case["image"] for case in _images(options.output, "chase.json", "validate")]
    slices = sorted((data / "examples" / "dicom_ct").iterdir())
    preprocess = _workflow(options.output, "train.json", unlabelled=True).parser.get_parsed_content("train#unaugmented")
    sets["CT"] = [preprocess.preprocessing({"image": str(path)})["image"] for path in slices]
    print("| images | recognised as | refused |\n|---|---|---|")
    for name, images in sets.items():
        counts: Counter[str] = Counter()
        for image in images:
            try:
                counts[recogniser.recognise(image)[0]] += 1
            except ValueError:
                counts["refused"] += 1
        refused = counts.pop("refused", 0)
        listed = ", ".join(f"{modality} {count}" for modality, count in counts.most_common())
        print(f"| {name}, {len(images)} | {listed} | {refused} |")


def _workflow(output: Path, datalist: str, **more: Any) -> ConfigWorkflow:
    configs = bundle_folder("esp_medsam_2d") / "configs"
    options: dict[str, Any] = {"datalist": str(output / datalist), "cache_dir": str(output / "cache")}
    options |= {"modalities": list(HELD), "logging_file": False, "workflow_type": "train"}
    return ConfigWorkflow([str(configs / "train.json"), str(configs / "small.json")], **options, **more)


def _images(output: Path, datalist: str, section: str) -> Any:
    return _workflow(output, datalist).parser.get_parsed_content(
        "train#unaugmented" if section == "train" else "validate#dataset"
    )


if __name__ == "__main__":
    main()
