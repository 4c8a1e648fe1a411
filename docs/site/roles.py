"""Docstrings as Markdown: reStructuredText's roles and double backticks become code."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

_ROLE = re.compile(r":[a-z]+:`(~?)([\w.]+)`")


class MarkdownCode(Extension):
    """What Griffe, which reads the package for the API pages, asks about each object that it finds."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        """Rewrites the object's docstring."""
        if obj.docstring is not None:
            text = _ROLE.sub(lambda found: f"`{_shown(found)}`", obj.docstring.value)
            obj.docstring.value = text.replace("``", "`")


def _shown(found: re.Match[str]) -> str:
    """A role's target as readers see it; a tilde keeps the last name alone."""
    return found[2].rpartition(".")[2] if found[1] else found[2]
