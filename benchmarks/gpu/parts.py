"""The parts of a run by name, and the process that runs one."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.gpu import inference, training
from benchmarks.gpu.setting import Setting

__all__ = ["PARTS"]

PARTS: dict[str, Callable[[Setting], None]] = {
    "agreement": inference.agreement,
    "window": inference.window,
    "case": inference.case,
    "out_of_memory": inference.out_of_memory,
    "step": training.step,
    "two_processes": training.two_processes,
    "resume": training.resume,
    "open": training.open_tasks,
}


def main() -> None:
    name, given, rows_file = sys.argv[1:]
    options = json.loads(given)
    out, device = Path(options["out"]).resolve(), torch.device(options["device"])
    PARTS[name](Setting(name, Path(rows_file), device, options["small"], options["data"], out))


if __name__ == "__main__":
    main()
