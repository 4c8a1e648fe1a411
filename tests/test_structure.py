"""How the rooms of the package depend on each other: which imports which."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "uniseg_nets"

ROOMS = {path.stem for path in PACKAGE.iterdir() if path.suffix in ("", ".py")}


def imports_of(file):
    """The rooms that a file imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            package, _, rest = node.module.partition(".")
            if package == PACKAGE.name:
                yield from [rest.partition(".")[0]] if rest else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith(f"{PACKAGE.name}."))


def arrows():
    """Room -> rooms that it imports."""
    found = {}
    for file in PACKAGE.rglob("*.py"):
        room = file.relative_to(PACKAGE).with_suffix("").parts[0]
        found.setdefault(room, set()).update(set(imports_of(file)) & ROOMS - {room})
    return found


def test_no_room_imports_another_that_imports_it():
    tuple(TopologicalSorter(arrows()).static_order())  # raises CycleError, which names the circle


def test_the_bottom_rooms_import_nothing_that_knows_a_network():
    assert not {"nets", "inferers", "bundle", "cli", "quality"} & set().union(
        *(arrows()[room] for room in ("io", "data"))
    )
