"""The viewer of a report: NiiVue, from the installed package ``ipyniivue``, as a part of the page.

Pages have a viewer if the extra ``viewer`` is installed, and pictures otherwise.
"""

from __future__ import annotations

import base64
import gzip
import logging
import re
from functools import cache
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path
from string import Template

__all__ = ["has_viewer", "viewer_part"]

logger = logging.getLogger(__name__)

# Placeholders: $licence, $niivue.
_TEMPLATE = Path(__file__).with_name("viewer.html")
# The package's module exports its widget for notebooks alone. It makes the viewer right after this message.
_CLASS = re.compile(r'"Creating new Niivue instance".{,200}?=new ([\w$]+)\(', re.DOTALL)
_EXPORT = re.compile(r"export\{[^{}]*\};?\s*$")


def has_viewer() -> bool:
    """Whether pages can have a viewer."""
    return _niivue() is not None


def viewer_part() -> str:
    """The part of a page with the viewer; empty where the extra is not installed."""
    module = _niivue()
    if module is None:
        return ""
    licence = distribution("ipyniivue").read_text("licenses/LICENSE") or ""
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(licence=licence, niivue=_packed(module))


@cache
def _packed(module: str) -> str:
    """A module as text for a page, packed once for all pages."""
    return base64.b64encode(gzip.compress(module.encode(), mtime=0)).decode()


@cache
def _niivue() -> str | None:
    """The package's module, which exports NiiVue's class."""
    package = find_spec("ipyniivue")
    if package is None or package.origin is None:
        return None
    module = Path(package.origin).with_name("static") / "widget.js"
    script = module.read_text(encoding="utf-8") if module.is_file() else ""
    match = _CLASS.search(script)
    if match is None or not _EXPORT.search(script):
        logger.warning("no viewer in reports: this version of ipyniivue has another module than expected, %s", module)
        return None
    return _EXPORT.sub(f"export{{{match[1]} as Niivue}};", script)
