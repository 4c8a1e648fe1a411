"""The rows of a run: one line of JSON each, appended at once, and a Markdown table made from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["Records", "append_row"]

_ENDED = "ended"


def append_row(
    file: Path, part: str, name: str, seconds: float | None = None, gib: float | None = None, note: str = ""
) -> None:
    """Adds a measured row: median seconds, peak memory of the device in GiB, and what else there is to say."""
    row = {"part": part, "name": name, "seconds": seconds, "gib": gib, "note": note}
    with file.open("a") as lines:
        lines.write(json.dumps(row) + "\n")


class Records:
    """Rows and table of a folder.

    Args:
        folder: made if it is missing.
        head: one line on the machine, above the table.
    """

    def __init__(self, folder: Path, head: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.rows_file, self._table, self._head = folder / "rows.jsonl", folder / "table.md", head

    def add(self, part: str, name: str, note: str = "") -> None:
        """Adds a row without measurement."""
        append_row(self.rows_file, part, name, note=note)

    def end(self, part: str) -> None:
        """Marks a part as done: it is not run again."""
        self.add(part, _ENDED)

    def has_ended(self, part: str) -> bool:
        """Whether a part was done before."""
        return any(row["part"] == part and row["name"] == _ENDED for row in self.rows())

    def rows(self) -> list[dict[str, Any]]:
        """All rows, oldest first."""
        if not self.rows_file.exists():
            return []
        return [json.loads(line) for line in self.rows_file.read_text().splitlines()]

    def write_table(self) -> None:
        """The last row of each name, in the order of their first ones."""
        last = {(row["part"], row["name"]): row for row in self.rows() if row["name"] != _ENDED}
        lines = [self._head, "", "| part | what | s | peak GiB | |", "|---|---|---|---|---|"]
        for (part, name), row in last.items():
            seconds = "" if row["seconds"] is None else f"{row['seconds']:.3g}"
            gib = "" if row["gib"] is None else f"{row['gib']:.2f}"
            lines.append(f"| {part} | {name} | {seconds} | {gib} | {row['note']} |")
        self._table.write_text("\n".join(lines) + "\n")
