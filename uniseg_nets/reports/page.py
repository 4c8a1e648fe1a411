"""One static page on a run: a sortable table, previews, and axial slices to browse, without server or network."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from string import Template
from typing import Any

from uniseg_nets.io.files import atomic_path
from uniseg_nets.quality.verdict import OK, WORDS
from uniseg_nets.results.colours import colour

__all__ = ["by_verdict", "write_page"]

_COLUMNS = (
    ("class", "class"),
    ("status", "status"),
    ("volume_ml", "volume, ml"),
    ("voxels", "voxels"),
    ("mean", "mean"),
    ("std", "standard deviation"),
)
# Placeholders: $summary, $worklist, $heads, $rows, $articles.
_TEMPLATE = Path(__file__).with_name("page.html")


def write_page(cases: Sequence[Mapping[str, Any]], path: str | PathLike[str]) -> None:
    """Writes the page. The previews are in the folder ``report`` beside it.

    Args:
        cases: each with ``name``, ``task``, ``classes`` (rows of statistics) and ``slices`` (``data:`` URLs of
            pictures); if known, ``written`` (time) and ``weights_sha256`` of the label map; and ``verdict``,
            ``reasons`` and ``estimated_dice``. They stand in this order, see :func:`by_verdict`.
        path: file of the page.
    """
    path = Path(path)
    heads = "".join(f"<th><button>{title}</button></th>" for title in ("case", "task", *(t for _, t in _COLUMNS)))
    rows = "\n".join(_row(case, row) for case in cases for row in case["classes"])
    articles = "\n".join(_article(case, path.parent / "report" / f"{case['name']}.png") for case in cases)
    summary = f"{len(cases)} case{'s' if len(cases) > 1 else ''}{_counts(cases)}."
    with atomic_path(path) as temporary:
        template = Template(_TEMPLATE.read_text(encoding="utf-8"))
        page = template.substitute(
            summary=summary, worklist=_worklist(cases), heads=heads, rows=rows, articles=articles
        )
        temporary.write_text(page, encoding="utf-8", errors="backslashreplace")


def by_verdict(cases: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Cases that need eyes first: refused, then check, those of the lowest estimate before others; then ok."""

    def rank(case: Mapping[str, Any]) -> tuple[int, float]:
        estimate = case.get("estimated_dice")
        return WORDS.index(case.get("verdict") or OK), 1.0 if estimate is None else float(estimate)

    return sorted(cases, key=rank)


def _counts(cases: Sequence[Mapping[str, Any]]) -> str:
    """How many cases have which verdict."""
    counts = [(word, sum(case.get("verdict") == word for case in cases)) for word in WORDS]
    told = ", ".join(f"{count} {word}" for word, count in counts if count)
    return f": {told}" if told else ""


def _worklist(cases: Sequence[Mapping[str, Any]]) -> str:
    """The table of verdicts, where there are any."""
    judged = [case for case in cases if case.get("verdict")]
    if not judged:
        return ""
    heads = "".join(f"<th>{title}</th>" for title in ("case", "verdict", "estimated Dice", "reasons"))
    rows = "".join(_judged_row(case) for case in judged)
    return f'<table id="worklist"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'


def _judged_row(case: Mapping[str, Any]) -> str:
    name, word = html.escape(case["name"]), html.escape(case["verdict"])
    reasons = "".join(f"<li>{html.escape(reason)}</li>" for reason in case.get("reasons", []))
    estimate, error = case.get("estimated_dice"), case.get("estimate_error")
    shown = "" if estimate is None else f"{estimate:.2f}" + ("" if error is None else f" \u00b1 {error:.2f}")
    listed = f"<ul>{reasons}</ul>" if reasons else ""
    return (
        f'<tr><td><a href="#{name}">{name}</a></td><td class="{word}">{word}</td><td class="number">{shown}</td>'
        f"<td>{listed}</td></tr>"
    )


def _row(case: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    name = html.escape(case["name"])
    cells = [f'<td data-value="{name}"><a href="#{name}">{name}</a></td>', _cell(_task(case))]
    cells += [_cell(row[key], row["status"] if key == "status" else "") for key, _ in _COLUMNS]
    return f"<tr>{''.join(cells)}</tr>"


def _task(case: Mapping[str, Any]) -> str:
    """The task of a case; for several tasks their number, since the classes are in the same row."""
    names = str(case["task"]).split("+")
    return names[0] if len(names) == 1 else f"{len(names)} tasks"


def _cell(value: Any, kind: str = "") -> str:
    shown = "" if value is None else f"{value:,}" if isinstance(value, (int, float)) else html.escape(str(value))
    kind = "number" if isinstance(value, (int, float)) else kind
    data = "" if value is None else html.escape(str(value))
    return f'<td class="{html.escape(kind)}" data-value="{data}">{shown}</td>'


def _origin(case: Mapping[str, Any]) -> str:
    """Time and weights of a case's label map, in words."""
    weights = case.get("weights_sha256")
    hashes = [weights] if isinstance(weights, str) else list(weights or ())
    known = [f"written {case['written']}"] if case.get("written") else []
    known += [f"weights (SHA-256) {', '.join(f'{digest[:12]}...' for digest in hashes)}"] if hashes else []
    return html.escape("; ".join(known))


def _article(case: Mapping[str, Any], preview: Path) -> str:
    name = html.escape(case["name"])
    legend = " ".join(
        f'<span><span class="swatch" style="background:{colour(index)}"></span>{html.escape(row["class"])}</span>'
        for index, row in enumerate(case["classes"])
    )
    picture = ""
    if preview.is_file():
        address = base64.b64encode(preview.read_bytes()).decode()
        picture = f'<img src="data:image/png;base64,{address}" alt="{name}: axial, coronal, sagittal">'
        caption = "axial, coronal, sagittal; R and L are the patient's right and left"
        picture = f"<figure>{picture}<figcaption>{caption}</figcaption></figure>"
    slices = "".join(f'<img src="{address}" alt="{name}, slice {i}">' for i, address in enumerate(case["slices"]))
    head = f'<article id="{name}"><h2>{name}</h2><p>{html.escape(_task(case))}: {legend}</p><p>{_origin(case)}</p>'
    if not case["slices"]:
        return f"{head}<p>Not computed.</p></article>"
    return (
        f'{head}<div class="side">{picture}'
        f'<div><input type="range" min="0" max="{len(case["slices"]) - 1}" value="{len(case["slices"]) // 2}" '
        f'aria-label="axial slice of {name}">{slices}</div></div></article>'
    )
