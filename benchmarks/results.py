"""Rows of a long experiment in a CSV file, one at a time, so that a stopped one goes on where it was."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["append_row", "read_rows", "shown"]


def read_rows(path: Path) -> list[dict[str, str]]:
    """All rows; none where there is no file yet."""
    return list(csv.DictReader(path.open())) if path.is_file() else []


def append_row(path: Path, fields: Sequence[str], row: Mapping[str, Any]) -> None:
    """Adds a row; the fields head a new file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.is_file()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, fields)
        if new:
            writer.writeheader()
        writer.writerow(row)


def shown(values: Sequence[float]) -> str:
    """The mean and, of several seeds, each one's value, the lowest first."""
    each = f" ({', '.join(f'{value:.3f}' for value in sorted(values))})" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.3f}{each}" if values else ""
