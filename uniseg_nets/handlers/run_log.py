"""The log of a run over many cases: a line per case, and ``run.json`` and ``failures.json`` of the whole run."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ignite.engine import Events

from uniseg_nets.data.cases import rank_partition
from uniseg_nets.engines import CaseEvaluator, CaseEvents
from uniseg_nets.handlers.logs import LOG_FOLDER, of_the_prediction, read_logs
from uniseg_nets.io.files import read_json, remove_left, server_time, write_json
from uniseg_nets.io.names import RUN_TABLES, is_name_of_table
from uniseg_nets.ranks import launched_rank
from uniseg_nets.transforms.result import ResultSaver

__all__ = ["RunLog", "refuse_others", "run_records", "write_failures"]

# Keys by which a run's file is known: today's, and that of versions up to 0.8.
_PROVENANCE = ("provenance", "made_by")


class RunLog:
    """Appends a line to ``OUTPUT_DIR/log/TIME_HOST_PROCESS.jsonl`` after every case; each process has its own file.

    The first line is on the process: start, host, provenance, number of cases. Each further one is on a case: its
    ``seconds`` and ``verdict``; ``failed`` with the reason, and ``label_map`` if its label map stands all the same;
    ``exported`` if this process did not predict it, as it was finished before. A case that fails by the review at the
    end gets a second line, with ``failed``. The times of these lines are those of the file server, as clocks of
    machines may differ. What is written stays as it is, so that a run of any length writes each line once; a process
    that is killed while it writes leaves half a line, the last one.

    ``OUTPUT_DIR/run.json`` has the same of the whole run, when it begins and when it ends; ``failed_with_label_map``
    names the failed cases whose label map stands. It also has what the logs say of earlier runs: seconds and verdicts
    of cases that were finished before; and of cases that this run does not have everything, so that their failures
    stay. A damaged log is left out, with a warning. Failed cases are in ``failures.json`` as well, name -> reason, a
    file that exists only if a case failed. Under ``torchrun`` each process writes its own, ``run_1.json`` and so on;
    those of ranks that a run does not have are removed. A run whose processes know nothing of each other has neither
    until :func:`~uniseg_nets.reports.merge.merge_runs` makes them.

    Args:
        saver: writer of the results. The log uses its folder and its provenance.
        total: number of cases, including those that were finished before.
        part: this process does a part of the cases, or shares them with others that it does not know.
        cases: the cases of the run, of all its processes. Without them, as in bundles that earlier versions packed,
            ``run.json`` has nothing of earlier runs.

    Raises:
        ValueError: if the folder has files of these names that this package did not write.
    """

    def __init__(
        self, saver: ResultSaver, total: int, part: bool = False, cases: Sequence[dict[str, Any]] | None = None
    ) -> None:
        refuse_others(saver.output_dir, RUN_TABLES)
        for folder in (saver.output_dir, saver.output_dir / "report"):
            remove_left(folder)
        self.saver = saver
        self.total = total
        self.part = part
        self._earlier = {} if part or cases is None else _earlier_lines(saver.output_dir, cases)
        self.started = datetime.now(UTC)
        name = f"{self.started:%Y%m%dT%H%M%S.%f}_{socket.gethostname()}_{os.getpid()}.jsonl"
        self._file = saver.output_dir / LOG_FOLDER / name
        self._logged: set[str] = set()

    def attach(self, engine: CaseEvaluator) -> None:
        engine.add_event_handler(Events.STARTED, self._write_summary)
        engine.add_event_handler(CaseEvents.DONE, lambda: self._log(engine, engine.done))
        engine.add_event_handler(Events.COMPLETED, self._complete)

    def _complete(self, engine: CaseEvaluator) -> None:
        # Finished before, so that no event told of them; then those of the review, some of them for the second time.
        exported = [name for name in engine.exported if name not in self._logged]
        for name in (*exported, *engine.reviewed):
            self._log(engine, name, exported=name not in engine.seconds)
        self._write_summary(engine)

    def _remove_of_more_ranks(self) -> None:
        """Removes the tables of an earlier run's ranks that this run lacks: its failures are not this run's."""
        rank, ranks = launched_rank()
        for path in () if rank else self.saver.output_dir.glob("run_*.json"):
            number = path.stem.removeprefix("run_")
            if number.isdecimal() and int(number) >= ranks and _is_record(path):
                path.with_name(f"failures_{number}.json").unlink(missing_ok=True)
                path.unlink()

    def _log(self, engine: CaseEvaluator, name: str, exported: bool = False) -> None:
        if not self._logged:
            self._append({"started": _text(self.started), "host": socket.gethostname(), **self._about(engine)})
        self._logged.add(name)
        line: dict[str, Any] = {"case": name, "written": _text(datetime.fromtimestamp(server_time(self._file), UTC))}
        if name in engine.failures:
            line["failed"] = engine.failures[name]
        if name in engine.with_label_map:
            line["label_map"] = True
        if name in engine.seconds:
            line["seconds"] = engine.seconds[name]
        if exported:
            line["exported"] = True
        if name in engine.verdicts:
            line["verdict"] = engine.verdicts[name]
        self._append(line)

    def _append(self, line: dict[str, Any]) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(json.dumps(line) + "\n")

    def _about(self, engine: CaseEvaluator) -> dict[str, Any]:
        before = self.total - len(engine.data_loader)
        return {"cases": self.total, "finished_before": before, "provenance": self.saver.provenance({})}

    def _write_summary(self, engine: CaseEvaluator) -> None:
        if self.part:
            return
        self._remove_of_more_ranks()
        now = datetime.now(UTC)
        target = _own_name(self.saver.output_dir / "run.json")
        # A run with nothing to do says what the one before did.
        before = read_json(target) if not len(engine.data_loader) and not engine.exported and _is_record(target) else {}
        earlier = {name: line for name, line in self._earlier.items() if name not in engine.failures}
        failures = _values(earlier, "failed") | engine.failures
        record = {
            "started": _text(self.started),
            "written": _text(now),
            "seconds": round((now - self.started).total_seconds(), 1),
            "seconds_per_case": before.get("seconds_per_case", {}) | _values(earlier, "seconds") | engine.seconds,
            "verdicts": before.get("verdicts", {}) | _values(earlier, "verdict") | engine.verdicts,
            "failed": failures,
            "failed_with_label_map": sorted(engine.with_label_map.union(_values(earlier, "label_map"))),
            **self._about(engine),
        }
        write_json(target, record)
        write_failures(_own_name(self.saver.output_dir / "failures.json"), failures)


def _earlier_lines(folder: Path, cases: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What the logs say of this process's cases, except for failures; on the first process also of no process's cases.

    Args:
        folder: folder of the results.
        cases: the cases of the run, of all its processes.
    """
    own, known = ({case["name"] for case in some} for some in (rank_partition(cases), cases))
    lines: dict[str, dict[str, Any]] = {}
    for name, line in read_logs(folder, skip_damaged=True)[1].items():
        if name in own:
            lines[name] = of_the_prediction(line)
        elif name not in known and launched_rank()[0] == 0:
            lines[name] = line
    return lines


def _values(lines: Mapping[str, Mapping[str, Any]], key: str) -> dict[str, Any]:
    return {name: line[key] for name, line in lines.items() if key in line}


def write_failures(path: Path, failures: dict[str, str]) -> None:
    """Writes the failed cases, name -> reason; without any, there is no such file."""
    if failures:
        write_json(path, failures)
    else:
        path.unlink(missing_ok=True)


def refuse_others(folder: Path, names: Sequence[str]) -> None:
    """Raises ValueError if a folder has files of these names and no record of a run of this package."""
    there = [folder / name for name in names if (folder / name).exists()]
    if there and not any(_is_record(path) for path in folder.glob("run*.json")):
        raise ValueError(
            f"{', '.join(map(str, there))} would be overwritten, and no record shows that this package wrote it: "
            "choose another output folder"
        )


def run_records(folder: Path) -> list[dict[str, Any]]:
    """What ``run.json`` says, and under ``torchrun`` the files of the other ranks."""
    paths = [path for path in sorted(folder.glob("run*.json")) if is_name_of_table(path.stem)]
    return [read_json(path) for path in paths if _is_record(path)]


def _is_record(path: Path) -> bool:
    try:
        return path.is_file() and any(key in read_json(path) for key in _PROVENANCE)
    except ValueError:
        return False


def _own_name(path: Path) -> Path:
    rank, _ = launched_rank()
    return path.with_stem(f"{path.stem}_{rank}") if rank else path


def _text(time: datetime) -> str:
    return time.isoformat(timespec="seconds")
