"""Static pages on a run: verdicts, a sortable table, a viewer or pictures, without server or network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, islice
from os import PathLike
from pathlib import Path
from string import Template
from typing import Any

from uniseg_nets.io.files import atomic_path
from uniseg_nets.quality.verdict import OK, WORDS
from uniseg_nets.reports.article import anchor, article
from uniseg_nets.reports.tables import statistics_table, worklist
from uniseg_nets.reports.viewer import viewer_part
from uniseg_nets.transforms.result import OF_THE_VERDICT

__all__ = ["FAILED", "by_verdict", "write_page"]

Cases = Sequence[Mapping[str, Any]]

FAILED = "failed"  # stands in the place of the verdict of a case that has no result
_WORDS = (FAILED, *WORDS)
_CASES = 50  # on a page
_LISTED = ("name", *OF_THE_VERDICT)  # what an index says of a case
# Placeholders: $summary, $worklist, $table, $articles, $viewer.
_TEMPLATE = Path(__file__).with_name("page.html")


def write_page(cases: Iterable[Mapping[str, Any]], path: str | PathLike[str]) -> None:
    """Writes the page. More than 50 cases get an index, and pages of 50 cases in ``report/pages`` beside it.

    The cases may come one after the other: two pages of them are in memory at a time, and the rows of the index. The
    pictures are read from the folder ``report`` beside the page and included, so that the page is one file.

    Args:
        cases: each with ``name``, ``task``, ``classes`` (rows of statistics) and ``slices`` (``data:`` URLs of
            pictures); where ``report`` has a scan for the viewer, ``windows``, see
            :func:`~uniseg_nets.reports.windows.window_presets`, and ``centre``, see
            :class:`~uniseg_nets.reports.reduced.Reduced`; if known, ``written`` (time) and ``weights_sha256`` of
            the label map; and ``verdict``, ``reasons`` and ``estimated_dice``. The page keeps their order, see
            :func:`by_verdict`.
        path: file of the page.
    """
    path = Path(path)
    pictures = path.parent / "report"
    cases = iter(cases)
    batches = iter(lambda: list(islice(cases, _CASES)), [])
    first, second = next(batches, []), next(batches, [])
    if second:
        pages = _write_pages(chain([first, second], batches), path, pictures)
    else:
        pages = []
        _write_cases(first, path, pictures)
    for old in (pictures / "pages").glob("*.html"):
        if old.name not in pages:
            old.unlink()


def by_verdict(cases: Cases) -> list[Mapping[str, Any]]:
    """The cases that failed, then those refused, to check and ok; each by the estimated Dice, lowest first."""

    def rank(case: Mapping[str, Any]) -> tuple[int, float]:
        estimate = case.get("estimated_dice")
        return _WORDS.index(case.get("verdict") or OK), 1.0 if estimate is None else float(estimate)

    return sorted(cases, key=rank)


def _write_pages(batches: Iterable[Cases], path: Path, pictures: Path) -> list[str]:
    """Writes a page of each batch, and the index; returns the names of the pages."""
    pages: list[str] = []
    listed: list[Mapping[str, Any]] = []
    back = f'<a href="../../{path.name}">All cases</a>. '
    for number, batch in enumerate(batches, 1):
        pages.append(f"{number:04d}.html")
        _write_cases(batch, pictures / "pages" / pages[-1], pictures, back)
        listed += [{key: case[key] for key in _LISTED if key in case} for case in batch]
    _write_index(listed, path, pages)
    return pages


def _write_cases(cases: Cases, path: Path, pictures: Path, before: str = "") -> None:
    viewer = viewer_part() if any("windows" in case for case in cases) else ""
    _fill(
        path,
        summary=before + _summary(cases),
        worklist=worklist([case for case in cases if case.get("verdict")]),
        table=statistics_table(cases),
        articles="\n".join(article(case, pictures, bool(viewer)) for case in cases),
        viewer=viewer,
    )


def _write_index(cases: Cases, path: Path, pages: Sequence[str]) -> None:
    page_of = {case["name"]: f"report/pages/{pages[number // _CASES]}" for number, case in enumerate(cases)}
    links = " ".join(f'<a href="report/pages/{name}">{number}</a>' for number, name in enumerate(pages, 1))
    _fill(
        path,
        summary=f"{_summary(cases)} Pages of {_CASES} cases: {links}.",
        worklist=worklist(cases, lambda name: anchor(name, page_of[name])),
        table="",
        articles="",
        viewer="",
    )


def _fill(path: Path, **parts: str) -> None:
    page = Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(parts)
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="backslashreplace")


def _summary(cases: Cases) -> str:
    """The number of cases, their number per verdict, and how many verdicts rest on no fingerprint."""
    counts = [(word, sum(case.get("verdict") == word for case in cases)) for word in _WORDS]
    listed = ", ".join(f"{count} {word}" for word, count in counts if count)
    text = f"{len(cases)} case{'s' if len(cases) > 1 else ''}{f': {listed}' if listed else ''}."
    alone = sum(case.get("compared_with_training") is False for case in cases)
    if alone:
        text += f" The weights have no fingerprint for {alone} of them: ok means little there."
    return text
