"""The table of what is checked names tests that there are."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")


def test_every_test_that_the_table_names_exists():
    named = re.findall(r"`(tests/\w+\.py)::(\w+)`", TEXT)
    there = {}
    for file in {file for file, _ in named}:
        module = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        there[file] = {node.name for node in module.body if isinstance(node, ast.FunctionDef)}
    assert [f"{file}::{name}" for file, name in named if name not in there[file]] == []
    assert len(named) == len(set(named)) > 100


def test_every_row_says_what_happens_and_which_test_holds_it():
    rows = [line for line in TEXT.splitlines() if line.startswith("|") and not re.match(r"\|(-|\s*what could)", line)]
    for row in rows:
        assert re.fullmatch(r"\| [^|]+ \| [^|]+ \| `tests/\w+\.py::test_\w+` \|", row), row
