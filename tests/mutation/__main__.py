"""Draws mutants, runs each against the tests that reach it, and lists those that no test noticed."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.mutation.forks import Fork, import_heavy
from tests.mutation.mutants import Mutant, draw_mutants
from tests.mutation.reach import Reach, measure_reach

_ROOT = Path(__file__).resolve().parents[2]
_FOLDER = _ROOT / "build" / "mutants"
# Mutants judged by eye: they change nothing that a user could see. Each with the reason.
_EQUIVALENT = Path(__file__).with_name("equivalent.json")
# A child has to import the package, on a machine that may be busy.
_START, _SLOWER = 60, 4


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--number", type=int, default=200, help="how many places are drawn (200)")
    parser.add_argument("--seed", type=int, default=0, help="of the draw (0)")
    parser.add_argument("--processes", type=int, default=2, help="how many mutants run at once (2)")
    parser.add_argument("--seconds", type=float, default=60, help="of tests per mutant, the quickest first (60)")
    parser.add_argument("--kept", action="store_true", help="take the last run's record of which tests reach what")
    parser.add_argument("--survivors", action="store_true", help="run again only what survived the last run")
    args = parser.parse_args()
    begun = time.monotonic()
    _FOLDER.mkdir(parents=True, exist_ok=True)
    if not args.kept:
        measure_reach(_ROOT, _FOLDER, args.processes)
    reach = Reach(_ROOT, _FOLDER)
    drawn = draw_mutants(_ROOT, args.number, args.seed)
    equivalent = {(each["file"], each["where"], each["before"], each["after"]) for each in _read(_EQUIVALENT)}
    todo = [mutant for mutant in drawn if mutant.key not in equivalent]
    record = _FOLDER / f"seed-{args.seed}.json"
    outcomes = [each for each in _read(record) if each["result"] in ("killed", "timeout")] if args.survivors else []
    done = {tuple(each["key"]) for each in outcomes}
    for outcome in _run([mutant for mutant in todo if mutant.key not in done], reach, args.processes, args.seconds):
        outcomes.append(outcome)
        print(f"{len(outcomes)}/{len(todo)} {outcome['result']}: {outcome['place']}  {outcome['by']}", flush=True)
        record.write_text(json.dumps(outcomes, indent=1), encoding="utf-8")
    for outcome in sorted(outcomes, key=lambda outcome: outcome["place"]):
        if outcome["result"] in ("survived", "unreached"):
            _, where, before, after = outcome["key"]
            print(f"\n{outcome['result']}, {outcome['tests']} tests: {outcome['place']} {where}")
            print(f"  - {before}\n  + {after}")
    counts = Counter(outcome["result"] for outcome in outcomes)
    noticed = counts["killed"] + counts["timeout"]
    share = 100 * noticed / max(1, len(todo))
    print(f"\n{len(drawn)} mutants of seed {args.seed}, {len(drawn) - len(todo)} of them listed as equivalent.")
    print(f"Of the other {len(todo)} the tests noticed {noticed}, {share:.1f} %: {dict(counts)}.")
    print(f"{time.monotonic() - begun:.0f} s")


def _read(file: Path) -> list[dict[str, Any]]:
    return list(json.loads(file.read_text(encoding="utf-8")))


def _run(mutants: list[Mutant], reach: Reach, processes: int, seconds: float) -> Iterator[dict[str, Any]]:
    """What became of each mutant: its key and place, the result, how many tests were chosen, which of them noticed."""
    import_heavy()
    chosen = {mutant.key: reach.tests(mutant, seconds) for mutant in mutants}
    waiting = [mutant for mutant in mutants if chosen[mutant.key]]
    for mutant in mutants:
        if not chosen[mutant.key]:
            yield _outcome(mutant, "unreached", 0, "")
    with tempfile.TemporaryDirectory() as folder:
        forks = [Fork.copied(_ROOT, Path(folder) / str(number)) for number in range(min(processes, len(waiting)))]
        running: dict[int, Mutant] = {}
        while waiting or running:
            for index, fork in enumerate(forks):
                if index not in running and waiting:
                    running[index] = mutant = waiting.pop(0)
                    tests = chosen[mutant.key]
                    fork.start(mutant, tests, _START + _SLOWER * sum(reach.seconds[name] for name in tests))
                elif index in running and (result := fork.ended()):
                    mutant = running.pop(index)
                    yield _outcome(mutant, result, len(chosen[mutant.key]), fork.noticed())
            time.sleep(0.05)


def _outcome(mutant: Mutant, result: str, tests: int, noticed: str) -> dict[str, Any]:
    place = f"{mutant.file}:{mutant.lines[1] if mutant.inside else mutant.lines[0]}"
    return {"key": mutant.key, "place": place, "result": result, "tests": tests, "by": noticed}


if __name__ == "__main__":
    main()
