"""The datalist that a data set joins.

The one rule: it is read again right before it is written, so that of two runs at a time none loses the other's entries.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uniseg_nets.io.files import read_json, write_json
from uniseg_nets.prepare.origin import Origin
from uniseg_nets.prepare.split import SECTIONS

__all__ = ["Datalist", "alone"]

_PATIENCE = 60.0  # seconds; a run holds the lock while it writes one file
_POLL = 0.1


@dataclass(frozen=True)
class Datalist:
    """A datalist without the entries that a data set replaces.

    Attributes:
        path: the file, which may not exist yet.
        content: its content.
        others: section -> entries of other data sets.
    """

    path: Path
    content: Mapping[str, Any]
    others: Mapping[str, Sequence[Mapping[str, Any]]]

    @classmethod
    def read(cls, path: Path, origin: Origin) -> Datalist:
        """Reads the file.

        Raises:
            ValueError: if it is no JSON object.
        """
        content = read_json(path) if path.is_file() else {}
        others = {section: [e for e in content.get(section, []) if not origin.replaces(e)] for section in SECTIONS}
        return cls(path, content, others)

    @property
    def there(self) -> list[Mapping[str, Any]]:
        """The entries of other data sets, of all sections."""
        return [entry for entries in self.others.values() for entry in entries]

    def write(self, added: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Writes the file with these entries after those of other data sets."""
        sections = {section: [*self.others[section], *added[section]] for section in SECTIONS}
        write_json(self.path, {**self.content, **sections})


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Waits until no other run writes this file, and keeps others from it meanwhile.

    The lock is a file that is created with ``O_EXCL``: see :mod:`uniseg_nets.data.claims` for why.

    Raises:
        ValueError: if another run holds the lock for a minute.
    """
    lock = path.with_name(f".{path.name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + _PATIENCE
    while not _created(lock):
        if time.monotonic() > until:
            raise ValueError(f"{lock} is there, another run writes {path}: if there is no other run, delete the lock")
        time.sleep(_POLL)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


def _created(lock: Path) -> bool:
    try:
        lock.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
