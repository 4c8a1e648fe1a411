"""The tables of a page: the verdicts, and the statistics of all classes."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from uniseg_nets.reports.article import anchor, task_words

__all__ = ["statistics_table", "worklist"]

_COLUMNS = (
    ("class", "class"),
    ("status", "status"),
    ("volume_ml", "volume, ml"),
    ("voxels", "voxels"),
    ("mean", "mean"),
    ("std", "standard deviation"),
)


def worklist(cases: Sequence[Mapping[str, Any]], address: Callable[[str], str] = anchor) -> str:
    """The table of verdicts, as HTML; empty without cases.

    Args:
        cases: see :func:`~uniseg_nets.reports.page.write_page`.
        address: name of a case -> address of its part of the page.
    """
    if not cases:
        return ""
    heads = "".join(f"<th>{title}</th>" for title in ("case", "verdict", "estimated Dice", "reasons"))
    rows = "\n".join(_judged_row(case, address(case["name"])) for case in cases)
    return f'<table id="worklist"><thead><tr>{heads}</tr></thead><tbody>\n{rows}\n</tbody></table>'


def _judged_row(case: Mapping[str, Any], address: str) -> str:
    name, word = html.escape(case["name"]), html.escape(case.get("verdict") or "")
    reasons = "".join(f"<li>{html.escape(reason)}</li>" for reason in case.get("reasons", []))
    estimate, error = case.get("estimated_dice"), case.get("estimate_error")
    shown = "" if estimate is None else f"{estimate:.2f}" + ("" if error is None else f" \u00b1 {error:.2f}")
    listed = f"<ul>{reasons}</ul>" if reasons else ""
    return (
        f'<tr><td><a href="{address}">{name}</a></td><td class="{word}">{word}</td><td class="number">{shown}</td>'
        f"<td>{listed}</td></tr>"
    )


def statistics_table(cases: Sequence[Mapping[str, Any]]) -> str:
    """The table of all classes of all cases, sortable."""
    heads = "".join(f"<th><button>{title}</button></th>" for title in ("case", "task", *(t for _, t in _COLUMNS)))
    rows = "\n".join(_row(case, row) for case in cases for row in case["classes"])
    return f'<table id="table"><thead><tr>{heads}</tr></thead><tbody>\n{rows}\n</tbody></table>'


def _row(case: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    name = html.escape(case["name"])
    cells = [f'<td data-value="{name}"><a href="{anchor(case["name"])}">{name}</a></td>', _cell(task_words(case))]
    cells += [_cell(row[key], row["status"] if key == "status" else "") for key, _ in _COLUMNS]
    return f"<tr>{''.join(cells)}</tr>"


def _cell(value: Any, kind: str = "") -> str:
    shown = "" if value is None else f"{value:,}" if isinstance(value, (int, float)) else html.escape(str(value))
    kind = "number" if isinstance(value, (int, float)) else kind
    data = "" if value is None else html.escape(str(value))
    return f'<td class="{html.escape(kind)}" data-value="{data}">{shown}</td>'
