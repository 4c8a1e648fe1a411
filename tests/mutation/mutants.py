"""The mistakes: Cosmic Ray's operators over the package, and one of our own, one mistake per place of the code.

The one rule: a place counts once, however many operators fit it, so that no kind of place outweighs the others.
"""

from __future__ import annotations

import difflib
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import parso
from cosmic_ray.ast import ast_nodes
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator
from cosmic_ray.plugins import get_operator, operator_names

PACKAGE = "uniseg_nets"

# Phantoms, pictures and pages are looked at, not asserted.
_LEFT_OUT_FOLDERS = ("phantom", "image2d")
_LEFT_OUT_FILES = ("reports/page.py", "reports/views.py", "reports/preview.py")
# Replacements that Python refuses for nearly every operand (a shift of floats), and `is` for `==`; two want arguments.
_LEFT_OUT_OPERATORS = re.compile(r"_(RShift|LShift|Pow|Mod|BitOr|BitAnd|BitXor|Is|IsNot)$|/Variable")
# What a binary operator stands in; elsewhere `*`, `**` and `/` unpack, or part a function's parameters.
_BINARY = ("arith_expr", "term", "power", "expr", "and_expr", "xor_expr", "shift_expr")
_LOG_CALLS = ("log", "logger", "logging", "warnings", "print")


class LeaveOut(Operator):
    """Replaces a statement that raises or calls by ``pass``: Cosmic Ray has no operator that leaves a check out."""

    def mutation_positions(self, node):
        parent = node.parent
        call = node.type == "atom_expr" and str(node.children[-1].get_code()).endswith(")")
        alone = parent is not None and parent.type == "simple_stmt" and parent.children[0] is node
        if alone and (call or node.type == "raise_stmt"):
            yield node.start_pos, node.end_pos

    def mutate(self, node, index):
        return parso.python.tree.Keyword("pass", node.start_pos, prefix=node.get_first_leaf().prefix)

    @classmethod
    def examples(cls):
        return ()


@dataclass(frozen=True)
class Mutant:
    """One mistake at one place.

    Attributes:
        file: path in the project, with slashes.
        inside: whether the place lies in a function; others run at import.
        lines: first and last line, from 1: of the place's statement up to the place where it lies inside a function,
            of the whole definition, class or file otherwise.
        operator: name of Cosmic Ray's operator, or ``LeaveOut``.
        where: the names of the classes and functions around it.
        before, after: the changed lines without indentation.
        source: the whole mutated file.
    """

    file: str
    inside: bool
    lines: tuple[int, int]
    operator: str
    where: str
    before: str
    after: str
    source: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What names it as long as its lines stay as they are, wherever they move."""
        return self.file, self.where, self.before, self.after


def draw_mutants(root: Path, number: int, seed: int) -> list[Mutant]:
    """A sample of places drawn without replacement, and one mutant of each, in the order of files and lines."""
    draw = random.Random(seed)
    places = [(file, *place) for file in _files(root) for place in _places(file)]
    drawn = sorted(draw.sample(places, min(number, len(places))), key=lambda place: (place[0], place[1]))
    return [_mutant(root, file, place, draw.choice(options)) for file, place, options in drawn]


def _files(root: Path) -> list[Path]:
    found = sorted((root / PACKAGE).rglob("*.py"))
    inside = {path: path.relative_to(root / PACKAGE) for path in found}
    return [
        path
        for path, name in inside.items()
        if name.parts[0] not in _LEFT_OUT_FOLDERS and name.as_posix() not in _LEFT_OUT_FILES
    ]


@cache
def _operators() -> dict[str, Operator]:
    names = sorted(name for name in operator_names() if not _LEFT_OUT_OPERATORS.search(name))
    return {"LeaveOut": LeaveOut()} | {name: get_operator(name)() for name in names}


def _places(file: Path) -> Iterator[tuple[tuple, list[tuple[str, int]]]]:
    """Each place of a file, as ((start, end), its operators with the occurrence that Cosmic Ray counts)."""
    tree = parso.parse(file.read_text(encoding="utf-8"))
    nodes = list(ast_nodes(tree))
    places: dict[tuple, list[tuple[str, int]]] = {}
    for name, operator in _operators().items():
        occurrence = 0
        for node in nodes:
            for position in operator.mutation_positions(node):
                if not _is_text(node) and ("Binary" not in name or node.parent.type in _BINARY):
                    places.setdefault(tuple(position), []).append((name, occurrence))
                occurrence += 1
    yield from sorted(places.items())


def _is_text(node) -> bool:
    """Whether a node is part of an annotation, or of what an error or a log says."""
    child, parent = node, node.parent
    while parent is not None:
        if parent.type == "funcdef":
            return child is parent.annotation
        if parent.type == "tfpdef":
            return True
        if parent.type == "annassign":
            return child is parent.children[1]
        if parent.type == "raise_stmt":
            return True
        if parent.type == "atom_expr" and parent.children[0].get_code(include_prefix=False) in _LOG_CALLS:
            return True
        child, parent = parent, parent.parent
    return False


def _mutant(root: Path, file: Path, place: tuple, option: tuple[str, int]) -> Mutant:
    name, occurrence = option
    source = file.read_text(encoding="utf-8")
    mutated = mutate_code(source, _operators()[name], occurrence)
    changes = [line for line in difflib.ndiff(source.splitlines(), mutated.splitlines()) if line[0] in "+-"]
    before, after = (" ".join(line[2:].strip() for line in changes if line[0] == sign) for sign in "-+")
    leaf = parso.parse(source).get_leaf_for_position(place[0])
    inside, lines = _lines(leaf)
    return Mutant(file.relative_to(root).as_posix(), inside, lines, name, _where(leaf), before, after, mutated)


def _where(leaf) -> str:
    names: list[str] = []
    node = leaf
    while node := node.search_ancestor("funcdef", "classdef"):
        names.insert(0, node.name.value)
    return ".".join(names)


def _lines(leaf) -> tuple[bool, tuple[int, int]]:
    """Whether a leaf runs within a function, and the lines of its statement up to it, or of its definition or file."""
    node = leaf
    while not node.type.endswith("_stmt"):
        if node.type in ("decorated", "funcdef", "classdef", "file_input"):
            return False, (node.start_pos[0], node.end_pos[0])
        node = node.parent
    function = node.search_ancestor("funcdef", "classdef")
    if function is not None and function.type == "funcdef":
        return True, (node.start_pos[0], leaf.start_pos[0])
    around = function or leaf.get_root_node()
    return False, (around.start_pos[0], around.end_pos[0])
