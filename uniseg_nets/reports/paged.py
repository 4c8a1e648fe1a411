"""The report of any number of cases: pages of one verdict each, and an index; one page is in memory at a time."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator
from itertools import chain, groupby, islice
from pathlib import Path
from string import Template
from typing import Any

from uniseg_nets.io.files import atomic_path, write_csv
from uniseg_nets.quality.verdict import CHECK, OK, REFUSED
from uniseg_nets.reports.collect import reported_cases, rows_of
from uniseg_nets.reports.page import write_page

__all__ = ["write_paged_report"]

_CASES = 50  # cases on a page
# Placeholders: $summary, $rows.
_TEMPLATE = Path(__file__).with_name("index.html")


def write_paged_report(folder: Path, verdicts: Iterable[str] = (REFUSED, CHECK, OK), failed: int = 0) -> Path | None:
    """Writes ``statistics.csv`` on all cases, ``report_VERDICT_0001.html`` and so on, and ``report.html``, the index.

    Args:
        folder: folder of the results.
        verdicts: which cases get pages; the table has all of them.
        failed: number of cases that failed, for the index.

    Returns:
        The index; ``None`` if no case has a report part.
    """
    for earlier in (folder / "statistics.json", *folder.glob("report_*_[0-9]*.html")):
        earlier.unlink(missing_ok=True)
    pages: list[tuple[str, str, int, str, str]] = []
    rows = _rows(folder, set(verdicts), pages)
    first = next(rows, None)
    if first is None:
        return None
    write_csv(folder / "statistics.csv", chain([first], rows))
    index = folder / "report.html"
    with atomic_path(index) as temporary:
        page = Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
            summary=_summary(pages, failed), rows="\n".join(map(_row, pages))
        )
        temporary.write_text(page, encoding="utf-8", errors="backslashreplace")
    return index


def _rows(folder: Path, verdicts: set[str], pages: list[tuple[str, str, int, str, str]]) -> Iterator[dict[str, Any]]:
    """The rows of the table. On the way the pages are written, and listed: file, verdict, cases, first and last one."""
    for verdict, cases in groupby(reported_cases(folder), key=lambda case: case.get("verdict") or OK):
        number = 0
        while batch := list(islice(cases, _CASES)):
            number += 1
            name = f"report_{verdict}_{number:04d}.html" if verdict in verdicts else ""
            if name:
                write_page(batch, folder / name)
            pages.append((name, verdict, len(batch), batch[0]["name"], batch[-1]["name"]))
            for case in batch:
                yield from rows_of(case)


def _summary(pages: Iterable[tuple[str, str, int, str, str]], failed: int) -> str:
    counts: dict[str, int] = {}
    for _, verdict, count, *_ in pages:
        counts[verdict] = counts.get(verdict, 0) + count
    told = ", ".join(f"{count:,} {verdict}" for verdict, count in counts.items())
    failures = f' {failed:,} failed, see <a href="failures.json">failures.json</a>.' if failed else ""
    return f"{sum(counts.values()):,} cases: {told}.{failures}"


def _row(page: tuple[str, str, int, str, str]) -> str:
    name, verdict, count, *names = page
    link = f'<a href="{name}">{name.removesuffix(".html")}</a>' if name else "none"
    ends = "".join(f"<td>{html.escape(case)}</td>" for case in names)
    return f'<tr><td>{link}</td><td class="{verdict}">{verdict}</td><td class="number">{count}</td>{ends}</tr>'
