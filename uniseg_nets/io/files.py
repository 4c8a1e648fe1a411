"""Files written whole or not at all, tables, and the hashes of files."""

from __future__ import annotations

import csv
import functools
import hashlib
import json
import math
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import chain, repeat
from os import PathLike
from pathlib import Path
from typing import Any

__all__ = [
    "atomic_path",
    "csv_rows",
    "json_rows",
    "read_csv",
    "read_json",
    "remove_left",
    "server_time",
    "sha256_of",
    "sha256_of_weights",
    "time_of",
    "write_csv",
    "write_json",
]

_TEMPORARY = ".writing-"
_STALE = 24 * 3600  # seconds without a change after which nobody writes any more, whatever the clocks say
# Characters with which a formula begins in a spreadsheet, and the apostrophe that marks such a text.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "'")


@contextmanager
def atomic_path(path: str | PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path to write to, which replaces ``path`` when the block ends without an error.

    The temporary file is in a hidden folder beside ``path``, on the same file system, and has the same name, so that
    writers can choose a format by the ending. After an error nothing is left and an older file stays.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=_TEMPORARY, dir=path.parent) as folder:
        temporary = Path(folder) / path.name
        yield temporary
        temporary.replace(path)


def remove_left(folder: Path) -> None:
    """Removes what killed processes left of :func:`atomic_path` in a folder. What changed within a day stays.

    Processes of other machines may be writing there, and their numbers say nothing here, so that only age can tell.
    """
    for left in folder.glob(f"{_TEMPORARY}*"):
        with suppress(OSError):  # its writer, or another process, removes it in this moment
            if max(path.stat().st_mtime for path in (left, *left.iterdir())) < time.time() - _STALE:
                shutil.rmtree(left)


def server_time(path: Path) -> float:
    """The time now by the clock of the file's server, in seconds since 1970: the file is touched and looked at."""
    os.utime(path)
    return time_of(path)


def time_of(path: Path) -> float:
    """When a file was changed. It is opened for that: a client of NFS then asks the server instead of its cache."""
    with path.open("rb") as file:
        return os.fstat(file.fileno()).st_mtime


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file, which may begin with a byte-order mark, as editors on Windows write it.

    Raises:
        FileNotFoundError: if there is no such file; the message has its absolute path.
        ValueError: if the file does not hold a JSON object; the message names the file.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise FileNotFoundError(f"no file {path.absolute()}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is no JSON: {error}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no JSON: it is no text") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}, expected an object")
    return content


def write_json(path: str | PathLike[str], content: Any) -> None:
    """Writes indented JSON with a final newline, whole or not at all.

    NaN and infinities, which JSON does not have, become ``null``.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(_finite(content), indent=4, allow_nan=False) + "\n", encoding="utf-8")


@contextmanager
def csv_rows(path: str | PathLike[str]) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Yields a function that appends a row to a table; the table is written whole or not at all.

    All rows have the same keys. Floats get four digits. A text that a spreadsheet would evaluate, such as the name
    ``=1+1``, gets an apostrophe in front, and so does one that begins with an apostrophe; :func:`read_csv` removes it.
    Undecodable bytes in a file's name are written as ``\\udcfc`` and the like.
    """
    with (
        atomic_path(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.writer(file)
        titles: list[str] = []

        def append(row: Mapping[str, Any]) -> None:
            if not titles:
                titles.extend(row)
                writer.writerow(map(_cell, titles))
            writer.writerow([_cell(row[title]) for title in titles])

        yield append


def write_csv(path: str | PathLike[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes a table, see :func:`csv_rows`."""
    with csv_rows(path) as append:
        for row in rows:
            append(row)


@contextmanager
def json_rows(path: str | PathLike[str]) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Yields a function that appends an object to a list in JSON; the list is written whole or not at all."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write("[")
        separators = chain(["\n"], repeat(",\n"))

        def append(row: Mapping[str, Any]) -> None:
            file.write(next(separators) + json.dumps(_finite(row), allow_nan=False))

        yield append
        file.write("\n]\n")


def read_csv(path: str | PathLike[str]) -> list[dict[str, str]]:
    """The rows of a table of :func:`write_csv`, all cells as text, names as they were given to it.

    A spreadsheet may have saved it since, with a byte-order mark.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a row has more or fewer cells than the head.
    """
    with Path(path).open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        rows = []
        for row in reader:
            if None in row or None in row.values():
                raise ValueError(f"{path}, line {reader.line_num}: it has another number of cells than the head")
            rows.append({_text(key): _text(value) for key, value in row.items()})
        return rows


def _finite(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return round(value, 4) if isinstance(value, float) else value


def _text(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell


def sha256_of(path: str | PathLike[str]) -> str:
    """SHA-256 of a file's content, as hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_weights(path: str | PathLike[str]) -> str:
    """SHA-256 of a weights file, as hexadecimal digits. A file that did not change is read once per process."""
    stat = Path(path).stat()
    return _sha256(os.fspath(path), stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=32)
def _sha256(path: str, size: int, mtime_ns: int) -> str:
    return sha256_of(path)
