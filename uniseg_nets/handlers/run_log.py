"""The log of a run over many cases: ``run.json`` and, if cases failed, ``failures.json``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from ignite.engine import Events

from uniseg_nets.data.datalist import read_json
from uniseg_nets.engines import CaseEvaluator
from uniseg_nets.io.files import write_json
from uniseg_nets.ranks import launched_rank
from uniseg_nets.transforms.result import ResultSaver

__all__ = ["RunLog", "refuse_others"]

# Keys by which a run's file is known: today's, and that of versions up to 0.8.
_PROVENANCE = ("provenance", "made_by")


class RunLog:
    """Writes ``OUTPUT_DIR/run.json`` after every case: times, provenance, seconds per case, failures with reasons.

    Failed cases are in ``failures.json`` as well, name -> reason; the file exists only if a case failed. If several
    processes share a run, each writes its own file, ``run_1.json`` and so on.

    Args:
        saver: writer of the results. The log uses its folder and its provenance.
        total: number of cases, including those that were finished before.

    Raises:
        ValueError: if the folder has files of these names that this package did not write.
    """

    def __init__(self, saver: ResultSaver, total: int) -> None:
        refuse_others(saver.output_dir, ("run.json", "failures.json"))
        self.saver = saver
        self.total = total
        self.started = datetime.now(UTC)

    def attach(self, engine: CaseEvaluator) -> None:
        engine.add_event_handler(Events.STARTED, self._write)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._write)
        engine.add_event_handler(Events.COMPLETED, self._write)

    def _write(self, engine: CaseEvaluator) -> None:
        now = datetime.now(UTC)
        record = {
            "started": self.started.isoformat(timespec="seconds"),
            "written": now.isoformat(timespec="seconds"),
            "seconds": round((now - self.started).total_seconds(), 1),
            "cases": self.total,
            "finished_before": self.total - len(engine.data_loader),
            "seconds_per_case": engine.seconds,
            "verdicts": engine.verdicts,
            "failed": engine.failures,
            "provenance": self.saver.provenance({}),
        }
        write_json(_own_name(self.saver.output_dir / "run.json"), record)
        failures = _own_name(self.saver.output_dir / "failures.json")
        if engine.failures:
            write_json(failures, engine.failures)
        else:
            failures.unlink(missing_ok=True)


def refuse_others(folder: Path, names: Sequence[str]) -> None:
    """Raises ValueError if a folder has files of these names and no record of a run of this package."""
    there = [folder / name for name in names if (folder / name).exists()]
    if there and not any(_is_record(path) for path in folder.glob("run*.json")):
        raise ValueError(
            f"{', '.join(map(str, there))} would be overwritten, and no record shows that this package wrote it: "
            "choose another output folder"
        )


def _is_record(path: Path) -> bool:
    try:
        return any(key in read_json(path) for key in _PROVENANCE)
    except ValueError:
        return False


def _own_name(path: Path) -> Path:
    rank, _ = launched_rank()
    return path.with_stem(f"{path.stem}_{rank}") if rank else path
