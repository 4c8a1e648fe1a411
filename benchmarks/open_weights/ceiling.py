"""What the resolution allows: reference labels on the network's grid and back, against themselves.

    python -m benchmarks.open_weights.ceiling DATA OUT.csv

DATA holds the datalist; the cases are those of its validation.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from uniseg_nets.data import load_datalist
from uniseg_nets.io.files import write_csv
from uniseg_nets.reports.metrics import case_rows
from uniseg_nets.tasks import TaskTable, load_task_table
from uniseg_nets.transforms import LabelMapd, LoadCased, PreprocessCased


def rows_of(case: Mapping[Any, Any], tasks: TaskTable) -> list[dict[str, Any]]:
    """A row per class of the case that its label holds."""
    task = tasks.one(case["task"])
    loaded = LoadCased(keys=["image", "label"])(case)
    reference = loaded["label"].clone()
    on_grid = PreprocessCased(keys=["image", "label"], tasks=tasks)(loaded)
    label = on_grid["label"].as_tensor()[0].long()
    scores = torch.nn.functional.one_hot(label, task.num_outputs).movedim(-1, 0).float()
    prediction = LabelMapd(keys="pred", tasks=tasks, values="task")({**on_grid, "pred": scores})["pred"]
    classes = dict(enumerate(task.classes, start=1))
    edges = reference.affine.numpy()[:3, :3]
    rows = case_rows(prediction.as_tensor()[0].numpy(), reference.as_tensor()[0].numpy(), edges, classes)
    return [{"task": task.name, "case": case["name"], **row} for row in rows if row["status"] != "absent"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    tasks = load_task_table("open")
    cases = load_datalist(options.data / "datalist.json", "validation", options.data)
    write_csv(options.output, [row for case in cases for row in rows_of(case, tasks)])


if __name__ == "__main__":
    main()
