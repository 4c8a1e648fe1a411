"""Measures a machine with a GPU, part by part, and writes a table as it goes.

    python -m benchmarks.gpu OUT [--only window,case] [--minutes 10] [--open DATA] [--small --device cpu]

Each part runs in a process of its own for at most ``--minutes``; its rows go to OUT/rows.jsonl and
OUT/table.md at once.
A run that was stopped goes on with the parts that have not ended. ``--open DATA`` trains the open tasks as a last part,
from the datalist in DATA, and goes on from its last checkpoint each time. ``--small --device cpu`` tries the kit out.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from benchmarks.gpu.parts import PARTS
from benchmarks.gpu.records import Records
from benchmarks.measure import machine


def run_part(name: str, options: argparse.Namespace, records: Records) -> None:
    """Runs a part in a process of its own; what went wrong becomes its row."""
    given = json.dumps({"device": options.device, "small": options.small, "data": options.open, "out": options.out})
    command = [sys.executable, "-m", "benchmarks.gpu.parts", name, given, str(records.rows_file)]
    part = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        _, messages = part.communicate(timeout=options.minutes * 60)
    except subprocess.TimeoutExpired:
        os.killpg(part.pid, signal.SIGKILL)  # with the trainings that it started
        part.communicate()
        records.add(name, "stopped", note=f"after {options.minutes:g} minutes")
        return
    if part.returncode:
        records.add(name, "failed", note=(messages.strip().splitlines() or ["no message"])[-1])
    else:
        records.end(name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--only", help=f"parts, separated by commas: {', '.join(PARTS)}")
    parser.add_argument("--minutes", type=float, default=10, help="longest time of a part")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--open", metavar="DATA", help="folder with the datalist of the open tasks")
    parser.add_argument("--small", action="store_true", help="a small network and small scans")
    options = parser.parse_args()
    chosen = options.only.split(",") if options.only else [name for name in PARTS if name != "open" or options.open]
    if unknown := set(chosen) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}: there are {', '.join(PARTS)}")
    if "open" in chosen and not options.open:
        parser.error("the part `open` needs --open DATA, the folder of its datalist")
    records = Records(Path(options.out), machine(options.device))
    for name in chosen:
        if not records.has_ended(name):
            run_part(name, options, records)
            records.write_table()


if __name__ == "__main__":
    main()
