"""The cases of a folder of results, from their records and report parts, one at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from uniseg_nets.handlers.run_log import run_records
from uniseg_nets.io.files import read_json
from uniseg_nets.io.names import is_name_of_table
from uniseg_nets.io.provenance import read_record
from uniseg_nets.quality.verdict import REFUSED
from uniseg_nets.reports.page import FAILED, by_verdict
from uniseg_nets.transforms.result import OF_THE_VERDICT

__all__ = ["reported_cases", "rows_of"]

logger = logging.getLogger(__name__)

# What the table says of a class.
_FIGURES = ("class", "value", "status", "voxels", "volume_ml", "mean", "std")


def reported_cases(folder: Path) -> Iterator[dict[str, Any]]:
    """The cases with a report part (``report/NAME.json``), the refused and the failed ones, those that need eyes first.

    Of all cases only name, task and verdict are kept in memory; pictures are read one case after the other. Cases that
    were segmented and have no part are counted in the log.
    """
    briefs = {path.stem: _brief(path) for path in folder.glob("*.json") if not is_name_of_table(path.stem)}
    for part in (folder / "report").glob("*.json"):
        if briefs.get(part.stem) is None:  # a part without a record
            briefs[part.stem] = {"name": part.stem, **_verdict_of(read_json(part))}
    not_computed = _not_computed(folder)
    for name, failed in not_computed.items():
        known = briefs.get(name) or {}
        if known.get("verdict") != failed["verdict"]:
            briefs[name] = {"name": name, "task": known.get("task", ""), **failed}
    missing: list[str] = []
    for case in by_verdict([brief for _, brief in sorted(briefs.items()) if brief is not None]):
        part = folder / "report" / f"{case['name']}.json"
        if part.is_file() and case["name"] not in not_computed:
            content = read_json(part)
            yield content | {"classes": [_renamed(row) for row in content["classes"]]}
        elif case.get("verdict") in (FAILED, REFUSED):
            yield {"classes": [], "slices": [], **case}
        else:
            missing.append(case["name"])
    if missing and (folder / "report").is_dir():
        logger.warning(
            "%d cases have no report, such as %s: `uniseg segment --report` makes what is missing",
            len(missing),
            missing[0],
        )


def rows_of(case: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A case's rows of the table: one per class, or one where it was not computed."""
    verdict = {
        "verdict": case.get("verdict"),
        "estimated_dice": case.get("estimated_dice"),
        "reasons": " ".join(case.get("reasons", [])),
    }
    first = {"case": case["name"], "task": case["task"]}
    return [{**first, **row, **verdict} for row in case["classes"] or [dict.fromkeys(_FIGURES)]]


def _brief(path: Path) -> dict[str, Any] | None:
    """Name, task and verdict of a case's record; ``None`` for other files."""
    record = read_record(path)
    if record is None or not ("label_map" in record or record.get("verdict") == REFUSED):
        return None
    return {"name": path.stem, "task": record["task"], **_verdict_of(record)}


def _not_computed(folder: Path) -> dict[str, dict[str, Any]]:
    """Failed cases -> verdict and reasons; without those whose label map is the run's answer all the same.

    An earlier label map of such a case is not the run's answer.
    """
    found = {}
    for record in run_records(folder):
        verdicts, with_label_map = record.get("verdicts", {}), set(record.get("failed_with_label_map", ()))
        for name, reason in record.get("failed", {}).items():
            if name not in with_label_map:
                refused = verdicts.get(name, {}).get("verdict") == REFUSED
                found[name] = {"verdict": REFUSED if refused else FAILED, "reasons": [reason]}
    return found


def _verdict_of(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: record[key] for key in OF_THE_VERDICT if key in record}


def _renamed(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of statistics with the present names: versions up to 0.8 wrote ``deviation`` and the status ``cut``."""
    row = {"std" if key == "deviation" else key: value for key, value in row.items()}
    return row | {"status": "truncated"} if row["status"] == "cut" else row
