"""Cases per hour of processes that share a folder: python -m benchmarks.scale.throughput SCANS OUT [OPTIONS]

OPTIONS are those of `uniseg segment`. Every pair of processes and threads that fills the cores of this machine, and one
process with one thread. The time includes the start of the processes: take so many cases that it does not count.

    uniseg phantom PHANTOMS --task spleen --count 48
    python -m benchmarks.scale.throughput PHANTOMS/spleen OUT --task spleen --weights demo --report
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path


def main(scans: str, out: Path, options: Sequence[str]) -> None:
    cores = len(os.sched_getaffinity(0))
    pairs = [(processes, cores // processes) for processes in range(1, cores + 1) if cores % processes == 0]
    print("| processes | threads of each | cases | seconds | cases per hour | seconds of processor per case |")
    print("|---|---|---|---|---|---|")
    for processes, threads in dict.fromkeys([(1, 1), *pairs]):
        folder = out / f"{processes}x{threads}"
        command = [sys.executable, "-m", "uniseg_nets", "segment", scans, str(folder), *options, "--shared"]
        environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
        start, used = time.perf_counter(), processor_time()
        running = [subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) for _ in range(processes)]
        if any(process.wait() not in (0, 3) for process in running):
            raise RuntimeError(f"{' '.join(command)} failed")
        seconds, used = time.perf_counter() - start, processor_time() - used
        cases = len(list(folder.glob("*.nii.gz")))
        figures = f"{cases} | {seconds:.0f} | {3600 * cases / seconds:.0f} | {used / cases:.1f}"
        print(f"| {processes} | {threads} | {figures} |", flush=True)


def processor_time() -> float:
    """Seconds that ended child processes have computed."""
    times = os.times()
    return times.children_user + times.children_system


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
