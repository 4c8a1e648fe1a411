"""Reads the logs that the processes of a run, and of earlier ones, wrote into a folder of results."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["LOG_FOLDER", "of_the_prediction", "read_log", "read_logs"]

logger = logging.getLogger(__name__)

LOG_FOLDER = "log"


def read_logs(folder: Path, skip_damaged: bool = False) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """The lines on processes, and the last line on each case, of all logs in a folder of results.

    Args:
        folder: folder of the results.
        skip_damaged: leave out logs that are damaged, with a warning.

    Raises:
        ValueError: if a log is damaged and none is left out; the message names it.
    """
    processes: list[dict[str, Any]] = []
    cases: dict[str, dict[str, Any]] = {}
    for log in sorted((folder / LOG_FOLDER).glob("*.jsonl")):
        try:
            lines = list(read_log(log))
        except ValueError as error:
            if not skip_damaged:
                raise
            logger.warning("left out what this log says of earlier runs: %s", error)
            continue
        for line in lines:
            if "case" not in line:
                processes.append(line)
            elif line["case"] not in cases or cases[line["case"]]["written"] <= line["written"]:
                cases[line["case"]] = _since(cases.get(line["case"], {}), line)
    return processes, cases


def _since(earlier: dict[str, Any], line: dict[str, Any]) -> dict[str, Any]:
    """A case's line; one on an export alone leaves the seconds and the verdict of the prediction."""
    return (of_the_prediction(earlier) if "exported" in line else {}) | line


def of_the_prediction(line: Mapping[str, Any]) -> dict[str, Any]:
    """What a case's line says of its prediction: the seconds and the verdict."""
    return {key: line[key] for key in line if key in ("seconds", "verdict")}


def read_log(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a log. Half a line at its end, of a process that was killed or is writing, is left out.

    Raises:
        ValueError: if another line is damaged; the message names the file and the line.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                logger.warning("%s ends with half a line, left out: its process was killed or is still writing", path)
                return
            try:
                content = json.loads(line)
            except ValueError:
                content = None
            if not isinstance(content, dict) or ("case" in content and "written" not in content):
                raise ValueError(f"{path}, line {number} is damaged: delete the line, or restore the file")
            yield content
