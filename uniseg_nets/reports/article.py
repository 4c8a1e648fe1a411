"""The part of a page on one case: its classes, origin and picture, and its scan for the viewer or slices to browse."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from PIL import Image

from uniseg_nets.io.names import REDUCED_ENDINGS
from uniseg_nets.results.colours import colour, rgb

__all__ = ["anchor", "article", "task_words"]


def article(case: Mapping[str, Any], pictures: Path, viewer: bool) -> str:
    """The part of the page on a case.

    Args:
        case: see :func:`~uniseg_nets.reports.page.write_page`.
        pictures: folder of the previews and of the reduced scans.
        viewer: whether the page has a viewer.
    """
    name = html.escape(case["name"])
    head = f'<article id="{name}"><h2>{name}</h2><p>{html.escape(task_words(case))}: {_legend(case)}</p>'
    head += f"<p>{_origin(case)}</p>"
    picture, data = _picture(case["name"], pictures), _data(case, pictures) if viewer else ""
    if not (picture or data or case["slices"]):
        return f"{head}<p>Not computed.</p></article>"
    return f'{head}<div class="side">{picture}{data or _slices(case)}</div></article>'


def anchor(name: str, page: str = "") -> str:
    """The address of a case on its page."""
    return f"{page}#{quote(name, errors='backslashreplace')}"


def task_words(case: Mapping[str, Any]) -> str:
    """The task of a case; for several tasks their number, since the classes are in the same row."""
    names = str(case["task"]).split("+")
    return names[0] if len(names) == 1 else f"{len(names)} tasks"


def _legend(case: Mapping[str, Any]) -> str:
    """The classes with their colours, as switches for the viewer."""
    return " ".join(
        f'<label><input type="checkbox" checked data-value="{row.get("value")}" data-rgb="{_numbers(rgb(index))}" '
        f'data-name="{html.escape(row["class"])}"><span class="swatch" style="background:{colour(index)}"></span>'
        f"{html.escape(row['class'])}</label>"
        for index, row in enumerate(case["classes"])
    )


def _numbers(values: tuple[int, ...]) -> str:
    return ",".join(map(str, values))


def _origin(case: Mapping[str, Any]) -> str:
    """Time and weights of a case's label map, in words."""
    weights = case.get("weights_sha256")
    hashes = [weights] if isinstance(weights, str) else list(weights or ())
    known = [f"written {case['written']}"] if case.get("written") else []
    known += [f"weights (SHA-256) {', '.join(f'{digest[:12]}...' for digest in hashes)}"] if hashes else []
    return html.escape("; ".join(known))


def _picture(name: str, pictures: Path) -> str:
    """The preview of a case as JPEG, which has about a tenth of the size of the PNG."""
    preview = pictures / f"{name}.png"
    if not preview.is_file():
        return ""
    buffer = io.BytesIO()
    Image.open(preview).convert("RGB").save(buffer, format="JPEG", quality=85)
    address = "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
    return (
        f'<figure><img src="{address}" alt="{html.escape(name)}: axial, coronal, sagittal">'
        "<figcaption>axial, coronal, sagittal; R and L are the patient's right and left</figcaption></figure>"
    )


def _data(case: Mapping[str, Any], pictures: Path) -> str:
    """The data of a case for the viewer; empty if the report of the case was made without a viewer."""
    name = case["name"]
    files = [pictures / f"{name}{ending}" for ending in REDUCED_ENDINGS]
    if not all(path.is_file() for path in files):
        return ""
    scan, labels = (base64.b64encode(path.read_bytes()).decode() for path in files)
    data = json.dumps({"scan": scan, "labels": labels, "windows": case["windows"], "centre": case["centre"]})
    link = f'<a class="view" href="{anchor(name)}">Open in the viewer</a>'
    return f'{link}<script type="application/json">{data}</script>'


def _slices(case: Mapping[str, Any]) -> str:
    name = html.escape(case["name"])
    slices = "".join(f'<img src="{address}" alt="{name}, slice {i}">' for i, address in enumerate(case["slices"]))
    if not slices:
        return ""
    return (
        f'<div><input type="range" min="0" max="{len(case["slices"]) - 1}" value="{len(case["slices"]) // 2}" '
        f'aria-label="axial slice of {name}">{slices}</div>'
    )
