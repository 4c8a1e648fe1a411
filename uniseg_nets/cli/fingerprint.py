"""``uniseg fingerprint``: what the training's cases were like, beside the weights, for a verdict on new ones."""

from __future__ import annotations

from pathlib import Path

from uniseg_nets.cli.values import at_least, weights_file

__all__ = ["fingerprint"]


def fingerprint(
    weights: str,
    datalist: str,
    *,
    section: str = "training",
    tasks_file: str | None = None,
    task: str | None = None,
    cases: int = 40,
    device: str | None = None,
) -> None:
    """Measure the training's cases and write WEIGHTS.fingerprint.json, by which new cases are judged.

    Args:
        weights: a UniSeg checkpoint of ours, or the name of one, such as "open".
        datalist: a MONAI datalist with the cases that the weights were trained on; held cases are left alone.
        section: of the datalist.
        tasks_file: the task table of the weights; that which knows the first case's task by default.
        task: of cases that name none.
        cases: per task, drawn by a seed.
        device: such as "cpu" or "cuda:1"; a GPU where there is one by default.
    """
    at_least(1, cases=cases)
    from uniseg_nets.io.devices import device_of
    from uniseg_nets.quality.fit import fit_fingerprint

    path, fingerprint = fit_fingerprint(
        weights_file(weights),
        datalist,
        section,
        tasks_file,
        task,
        cases,
        None if device is None else device_of(device),
    )
    for name, reference in fingerprint.tasks.items():
        print(f"{name}: {reference.cases} cases")
    if fingerprint.estimate is not None:
        print(f"estimated Dice: 9 of 10 training cases within {fingerprint.estimate.error:.2f}")
    print(f"wrote {Path(path)}")
