"""What a verdict costs: processor seconds of its parts, as shares of a held case's own.

    python -m benchmarks.verdict.cost DATA WEIGHTS [--cases 2] [--repeats 3]

The parts are timed inside of one pass, as a difference of two passes would be lost in their noise. A case's own seconds
are those of reading, preprocessing, inference in PyTorch and the label map; writing is left out. Of each task the first
cases count; of the repeats the fastest.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from uniseg_nets.data import load_datalist
from uniseg_nets.quality import Judge, inferer
from uniseg_nets.quality.cases import CaseMeasurer
from uniseg_nets.quality.network import Watch
from uniseg_nets.tasks import Task, load_task_table
from uniseg_nets.transforms import LabelMapd, LoadCased, PreprocessCased


class Clock:
    """Adds up the processor seconds of the functions that it wraps, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def wrap(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            begun = time.process_time()
            try:
                return call(*args, **kwargs)
            finally:
                self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - begun

        return timed


@torch.no_grad()
def one_case(case: dict[str, Any], task: Task, measurer: CaseMeasurer, judge: Judge, clock: Clock) -> None:
    """Segments and judges a case, every part on the clock."""
    loaded = clock.wrap("own", LoadCased("image", task.channels))({"image": case["image"]})
    before = clock.wrap("scan", judge.before)(loaded["image"], task.name)
    ready = clock.wrap("own", PreprocessCased("image", measurer.tasks, task.name))(loaded)
    scores = clock.wrap("inference", measurer.inferer)(ready["image"].as_tensor()[None], measurer.network, task.name)
    clock.wrap("own", LabelMapd("pred", measurer.tasks, task.name))({**ready, "pred": scores[0]})
    clock.wrap("verdict", judge.after)(before, measurer.inferer.measures, task.name)


def shares(clock: Clock) -> dict[str, float]:
    """The parts' shares of a case's own seconds; and ``own``, these seconds."""
    seconds = clock.seconds
    own = seconds["own"] + seconds["inference"] - seconds["windows"] - seconds["label map"]
    parts = {name: seconds[name] / own for name in ("scan", "windows", "label map", "verdict")}
    return {"own": own, **parts, "together": sum(parts.values())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--cases", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    logging.getLogger("uniseg_nets").setLevel(logging.ERROR)
    tasks = load_task_table("open")
    measurer = CaseMeasurer.of_weights(options.weights, tasks, "torch")
    judge = Judge(tasks, weights=str(options.weights))
    held = load_datalist(options.data / "datalist.json", "validation", options.data)
    see, measure = Watch.see, inferer.task_measures
    print("| task | own seconds | scan | windows | label map | verdict | together |\n|---|---|---|---|---|---|---|")
    for task in tasks:
        tried = []
        for _ in range(options.repeats):
            clock = Clock()
            Watch.see = clock.wrap("windows", see)  # type: ignore[method-assign]
            inferer.task_measures = clock.wrap("label map", measure)
            for case in [case for case in held if case["task"] == task.name][: options.cases]:
                one_case(case, task, measurer, judge, clock)
            tried.append(shares(clock))
        best = min(tried, key=lambda shares: shares["together"])
        cells = " | ".join(f"{best[name]:.2%}" for name in ("scan", "windows", "label map", "verdict", "together"))
        print(f"| {task.name} | {best['own'] / options.cases:.2f} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
