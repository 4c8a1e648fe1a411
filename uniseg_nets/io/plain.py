"""What arrives from outside is data and never evaluated.

MONAI's config parser runs strings that begin with ``$`` as Python and builds what ``_target_`` names, wherever they
stand in lists and dictionaries.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["plain_data"]

# How strings begin that the parser takes for expressions, references and macros.
_MARKS = ("$", "@", "%")


def plain_data(value: Any) -> Any:
    """A value itself, after every string and key in it was looked at.

    Raises:
        ValueError: a string that begins with ``$``, ``@`` or ``%``, or a key that begins with ``_``, at any depth.
    """
    if isinstance(value, str) and value.lstrip().startswith(_MARKS):
        raise ValueError(f"refused: {value[:40]!r} begins with one of {' '.join(_MARKS)}; a value must be plain data")
    if isinstance(value, Mapping):
        bad = [str(key) for key in value if str(key).startswith("_")]
        if bad:
            raise ValueError(f"refused: keys {bad[:3]} begin with _; a value must be plain data")
        for item in value.values():
            plain_data(item)
    if isinstance(value, (list, tuple)):
        for item in value:
            plain_data(item)
    return value
