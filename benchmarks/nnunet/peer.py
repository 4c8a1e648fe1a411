"""The cases of a task for nnU-Net, and the figures of its predictions, as an evaluation of this project writes them.

    python -m benchmarks.nnunet.peer dataset DATALIST TASK RAW/Dataset001_TASK
    python -m benchmarks.nnunet.peer score DATALIST TASK PREDICTIONS OUTPUT

``dataset`` links the training cases as nnU-Net's training cases and those of the validation as its test cases.
PREDICTIONS holds their label maps, as ``nnUNetv2_predict`` wrote them.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from uniseg_nets.data import load_datalist
from uniseg_nets.data.datalist import image_files
from uniseg_nets.io.files import write_json
from uniseg_nets.reports import Report
from uniseg_nets.tasks import load_task_table


def write_dataset(datalist: Path, task: str, output: Path) -> None:
    """Writes ``output`` in nnU-Net's layout, with links to images and labels."""
    tasks = load_task_table("open")
    for folder in ("imagesTr", "labelsTr", "imagesTs"):
        (output / folder).mkdir(parents=True)
    cases = {section: load_datalist(datalist, section, task=task) for section in ("training", "validation")}
    for section, entries in cases.items():
        for case in entries:
            for channel, file in enumerate(image_files(case)):
                images = output / ("imagesTr" if section == "training" else "imagesTs")
                (images / f"{case['name']}_{channel:04d}.nii.gz").symlink_to(Path(file).resolve())
            if section == "training":
                (output / "labelsTr" / f"{case['name']}.nii.gz").symlink_to(Path(case["label"]).resolve())
    spec = tasks.one(task)
    content = {
        "channel_names": dict(enumerate(spec.channels)),
        "labels": {"background": 0, **{name: value for value, name in enumerate(spec.classes, start=1)}},
        "numTraining": len(cases["training"]),
        "file_ending": ".nii.gz",
    }
    write_json(output / "dataset.json", content)


def score(datalist: Path, task: str, predictions: Path, output: Path) -> None:
    """Writes ``cases.csv`` and the rest of an evaluation under ``output``, and a copy of the label maps."""
    shutil.copytree(predictions, output / "label_maps" / task, ignore=lambda _, names: _others(names))
    cases = load_datalist(datalist, "validation", task=task)
    Report(cases, output / "label_maps", output, load_task_table("open")).write()


def _others(names: list[str]) -> list[str]:
    return [name for name in names if not name.endswith(".nii.gz")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("dataset", "score"))
    parser.add_argument("datalist", type=Path)
    parser.add_argument("task")
    parser.add_argument("folders", type=Path, nargs="+")
    options = parser.parse_args()
    function = write_dataset if options.step == "dataset" else score
    function(options.datalist, options.task, *options.folders)


if __name__ == "__main__":
    main()
