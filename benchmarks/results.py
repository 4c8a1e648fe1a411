"""Rows of a long experiment in a CSV file, one at a time, so that a stopped one goes on where it was."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uniseg_nets.study.figures import bootstrap_interval

__all__ = ["append_row", "has_row", "read_rows", "shown", "with_interval"]


def read_rows(path: Path) -> list[dict[str, str]]:
    """All rows; none where there is no file yet."""
    return list(csv.DictReader(path.open())) if path.is_file() else []


def has_row(path: Path, **known: object) -> bool:
    """Whether a row has these values."""
    wanted = {name: str(value) for name, value in known.items()}
    return any(wanted.items() <= row.items() for row in read_rows(path))


def append_row(path: Path, fields: Sequence[str], row: Mapping[str, Any]) -> None:
    """Adds a row; the fields head a new file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.is_file()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, fields)
        if new:
            writer.writeheader()
        writer.writerow(row)


def with_interval(values: Sequence[float] | NDArray[np.floating], sign: str = "") -> str:
    """The mean with its 95 % bootstrap interval; ``sign`` is ``+`` for changes."""
    low, high = bootstrap_interval(values)
    return f"{np.mean(values):{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})"


def shown(values: Sequence[float]) -> str:
    """The mean and, of several seeds, each one's value, the lowest first."""
    each = f" ({', '.join(f'{value:.3f}' for value in sorted(values))})" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.3f}{each}" if values else ""
