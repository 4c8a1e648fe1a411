"""``uniseg fingerprint``: writes the usual ranges of the training cases beside the weights, for verdicts."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from uniseg_nets.cli.values import at_least, existing_file, weights_file

__all__ = ["fingerprint"]


def fingerprint(
    weights: str,
    datalist: str,
    *,
    section: str = "training",
    held: str | None = None,
    tasks_file: str | None = None,
    task: str | None = None,
    cases: int = 40,
    label_values: Literal["task", "global"] = "task",
    device: str | None = None,
) -> None:
    """Measure the cases of the training and write WEIGHTS.fingerprint.json, with which new cases are compared.

    Args:
        weights: a UniSeg checkpoint of this package, or the name of one, such as "open".
        datalist: a MONAI datalist with the cases that the weights were trained on.
        section: section of the datalist with the cases of the training.
        held: section with cases that the training did not use, such as "validation"; the Dice is estimated from them.
        tasks_file: the task table of the weights; by default the one that has the task of the first case.
        task: the task to use, also that of cases that name none; by default the task of each case.
        cases: maximum number of cases per task, drawn at random.
        label_values: values in the label files: "task" for 1, 2, ..., "global" for those of the task table.
        device: such as "cpu" or "cuda:1"; by default a GPU if there is one.
    """
    at_least(1, cases=cases)
    weights, datalist = weights_file(weights), existing_file(datalist, "DATALIST, a MONAI datalist")
    from uniseg_nets.io.devices import device_of
    from uniseg_nets.quality.fit import fit_fingerprint

    path, fitted = fit_fingerprint(
        weights,
        datalist,
        section,
        held,
        tasks_file,
        task,
        cases,
        label_values,
        None if device is None else device_of(device),
    )
    for name, reference in fitted.tasks.items():
        print(f"{name}: {reference.cases} cases")
    if fitted.estimate is not None:
        cases_of = "held-out" if fitted.estimate.held else "training"
        print(f"estimated Dice: 90 % of the {cases_of} cases are within {fitted.estimate.error:.2f}")
    print(f"wrote {Path(path)}")
