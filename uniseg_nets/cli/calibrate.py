"""``uniseg calibrate``: a network in 8 bits, for processors on which it is the fastest."""

from __future__ import annotations

from typing import Any

from uniseg_nets.cli.values import at_least, existing, one_or_several, weights_file

__all__ = ["calibrate"]


def calibrate(
    input: str,
    *,
    task: str,
    weights: str | None = None,
    tasks_file: str | None = None,
    bundle: str = "uniseg_upstream",
    scans: int = 8,
    windows: int = 32,
) -> None:
    """Prepare `segment --precision int8` for a task on this machine, with a few scans of that task, without labels.

    Args:
        input: scans, as for `uniseg segment`; of a datalist, cases that name another task are left out.
        task: what will be segmented; several as liver,spleen.
        weights: a checkpoint of this package or of the authors; by default those that have the task.
        tasks_file: the task table of the weights, if it is not the official one.
        bundle: another bundle: a folder or a zip, such as `uniseg pack` writes.
        scans: maximum number of scans; the first ones are used.
        windows: number of windows of these scans on which the ranges of the activations are measured.
    """
    source, chosen = existing(input), one_or_several(task)
    at_least(1, scans=scans, windows=windows)
    from uniseg_nets.bundle.calibrate import calibrate_int8
    from uniseg_nets.bundle.choose import ChosenInference
    from uniseg_nets.bundle.run import opened_bundle
    from uniseg_nets.data import find_cases
    from uniseg_nets.runtimes.int8 import LEAST_AGREEMENT

    options: dict[str, Any] = {} if tasks_file is None else {"tasks_file": tasks_file}
    if weights is not None:
        options["weights"] = weights_file(weights)
    with opened_bundle(bundle) as root:
        tasks = ChosenInference(root, task=chosen, **options).tasks()
    cases = find_cases(source, None, *tasks)[:scans]
    agreement = calibrate_int8([case["image"] for case in cases], chosen, bundle, windows, **options)
    print(f"label maps in 8 bits and in float32 agree by a Dice of {agreement:.3f}")
    if agreement < LEAST_AGREEMENT:
        raise ValueError(f"at least {LEAST_AGREEMENT} is needed: `--precision int8` will be refused for {task}")
    print(f"use it with `uniseg segment SCANS OUT --task {task} --precision int8`")
