"""The metrics of the demonstration as text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["as_text"]


def as_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """One line per class. Without a reference its metrics are ``-``."""

    def shown(value: float | None, digits: int) -> str:
        return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"

    lines = [f"{'task':<18} {'case':<16} {'channels':<16} {'class':<28} {'Dice':>6} {'ml':>9} {'reference ml':>13}"]
    lines += [
        f"{row['task']:<18} {row['case']:<16} {row['channels']:<16} {row['class']:<28} {shown(row.get('dice'), 3):>6} "
        f"{row['volume_ml']:>9.1f} {shown(row.get('reference_ml'), 1):>13}"
        for row in rows
    ]
    return "\n".join(lines)
