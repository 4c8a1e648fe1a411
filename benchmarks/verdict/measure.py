"""What is measured of every scan through every task, once: a line of JSON per case, from which tables are cheap.

    python -m benchmarks.verdict.measure DATA WEIGHTS ROWS.jsonl [--pairs 3] [--spoilt 2] [--largest 100]
        [--check_flips]

DATA holds the datalist. Held cases go through their own task; of each task a seeded few go through every other task of
as many channels, a seeded few are spoilt in each way of :mod:`benchmarks.verdict.wrong`, and at most 20 are degraded as
for the fit of the estimate. The first channel of a
scan of several goes through the tasks of one channel. Of a pair that needs more than ``--largest`` windows the scan
alone is looked at. A run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.verdict.rows import as_json, properties_as_json
from benchmarks.verdict.wrong import WRONG, spoilt
from uniseg_nets.data import load_datalist
from uniseg_nets.data.groups import group_of
from uniseg_nets.inferers.windows import all_starts
from uniseg_nets.quality.before import ScanProperties, scan_properties
from uniseg_nets.quality.cases import CaseMeasurer
from uniseg_nets.quality.degrade import degraded
from uniseg_nets.tasks import Task, TaskTable, load_task_table
from uniseg_nets.transforms import LoadCased

DEGRADED = "degraded"  # for the fit of the estimate alone

Job = tuple[dict[str, Any], Task, str]


def jobs(cases: list[dict[str, Any]], tasks: TaskTable, pairs: int, few: int) -> Iterator[Job]:
    """Each case, the task that it goes through, and its fault: right pairs first."""
    rng = np.random.default_rng(0)
    own = {task.name: [case for case in cases if case["task"] == task.name] for task in tasks}
    order = {name: [int(i) for i in rng.permutation(len(ones))] for name, ones in own.items()}
    for task in tasks:
        yield from ((own[task.name][i], task, "") for i in order[task.name])
    for task in tasks:
        yield from ((own[task.name][i], task, DEGRADED) for i in order[task.name][:20])
    for fault in WRONG:
        for task in tasks:
            yield from ((own[task.name][i], task, fault) for i in order[task.name][:few])
    for task in tasks:
        for requested in tasks:
            if requested is not task and len(requested.channels) <= len(task.channels):
                yield from ((own[task.name][i], requested, "") for i in order[task.name][:pairs])


def measured(job: Job, tasks: TaskTable, measurer: CaseMeasurer, largest: int) -> dict[str, Any] | None:
    """A row on one job; ``None`` where the fault cannot be."""
    case, requested, fault = job
    own = tasks.one(case["task"])
    loaded: Any = LoadCased(keys=["image", "label"], modalities=own.channels)(dict[Any, Any](case))
    given: Any = {key: loaded[key] for key in ("image", "label")}
    if fault == DEGRADED:
        given["image"] = degraded(loaded["image"], seed=sum(case["name"].encode()))
    elif fault:
        given = spoilt(given, own, fault, seed=len(case["name"]))
        if given is None:
            return None
    if requested is not own:
        del given["label"]
        given["image"] = given["image"][: len(requested.channels)]
    row: dict[str, Any] = {
        "case": case["name"],
        "patient": group_of(case),
        "own": own.name,
        "requested": requested.name,
        "fault": fault,
    }
    properties = scan_properties(given["image"], requested)
    if windows(properties, requested, measurer.patch_size) > largest:
        return row | {"dice": None, "seconds": None, "numbers": None} | properties_as_json(properties)
    return row | as_json(measurer(given, requested.name))


def windows(properties: ScanProperties, task: Task, patch_size: Sequence[int]) -> int:
    """How many windows a scan needs, overlapping by half."""
    size = [max(round(mm / step), patch) for mm, step, patch in zip(properties.extent, task.spacing, patch_size)]
    return len(all_starts(size, patch_size, 0.5))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("rows", type=Path)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--spoilt", type=int, default=2)
    parser.add_argument("--largest", type=int, default=100)
    parser.add_argument("--check_flips", action="store_true", help="a second, mirrored pass of each case")
    options = parser.parse_args()
    logging.getLogger("uniseg_nets").setLevel(logging.ERROR)
    tasks = load_task_table("open")
    held = load_datalist(options.data / "datalist.json", "validation", options.data)
    measurer = CaseMeasurer.of_weights(options.weights, tasks, check_flips=options.check_flips)
    lines = options.rows.read_text().splitlines() if options.rows.exists() else []
    done = {tuple(json.loads(line)[key] for key in ("case", "requested", "fault")) for line in lines}
    with options.rows.open("a") as file:
        for job in jobs(held, tasks, options.pairs, options.spoilt):
            if (job[0]["name"], job[1].name, job[2]) in done:
                continue
            row = measured(job, tasks, measurer, options.largest)
            if row is not None:
                file.write(json.dumps(row) + "\n")
                file.flush()


if __name__ == "__main__":
    main()
