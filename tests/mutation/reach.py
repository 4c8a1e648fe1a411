"""Which tests reach which lines, and how long they take: one run of the suite with coverage's contexts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from coverage import CoverageData

from tests.mutation.mutants import PACKAGE, Mutant

# They run the package in other processes, where coverage has no contexts, or look at the distribution's files.
_LEFT_OUT = ("bundle_finetune", "bundle_training", "bundle_upstream", "zoo", "packaging", "readme", "folder_run")


def measure_reach(root: Path, folder: Path, processes: int) -> None:
    """Runs the tests once, and leaves coverage's data and a list of times in a folder."""
    left_out = {path for name in _LEFT_OUT for path in (root / "tests").glob(f"test_{name}.py")}
    files = [path.relative_to(root).as_posix() for path in sorted((root / "tests").glob("test_*.py"))]
    options = [f"--cov={PACKAGE}", "--cov-context=test", "--cov-report=", f"--junitxml={folder / 'times.xml'}"]
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", str(processes), "-p", "no:cacheprovider", *options]
        + [file for file in files if root / file not in left_out],
        cwd=root,
        env=os.environ | {"COVERAGE_FILE": str(folder / "coverage")},
        check=True,
    )


class Reach:
    """What ``measure_reach`` left in a folder.

    Attributes:
        seconds: how long each test took, setting up included.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        self.root = root
        self.seconds: dict[str, float] = {}
        for case in ElementTree.parse(folder / "times.xml").iter("testcase"):
            name = f"{case.attrib['classname'].replace('.', '/')}.py::{case.attrib['name']}"
            self.seconds[name] = float(case.attrib["time"])
        self._data = CoverageData(str(folder / "coverage"))
        self._data.read()

    def tests(self, mutant: Mutant, limit: float) -> list[str]:
        """The tests that reach a mutant's place, the quickest first, as far as they take ``limit`` seconds in all."""
        contexts = self._data.contexts_by_lineno(str(self.root / mutant.file))
        first, last = mutant.lines
        if mutant.inside:
            # A line in the middle of a statement is not traced always: the nearest one above it is.
            found = next((names for line in range(last, first - 1, -1) if (names := _tests(contexts, line))), set())
        else:
            # A table of constants, or of fields, has no lines that run later: who imports it reads it.
            found = set().union(*(_tests(contexts, line) for line in contexts if first <= line <= last))
            for importer in self._importers(mutant.file):
                contexts = self._data.contexts_by_lineno(str(importer))
                found |= set().union(*(_tests(contexts, line) for line in contexts))
        chosen, spent = [], 0.0
        for name in sorted(found & set(self.seconds), key=lambda name: (self.seconds[name], name)):
            spent += self.seconds[name]
            if chosen and spent > limit:
                break
            chosen.append(name)
        return chosen

    def _importers(self, file: str) -> list[Path]:
        module = ".".join(Path(file).with_suffix("").parts)
        imported = re.compile(rf"(from|import) {re.escape(module)}\b")
        return [path for path in (self.root / PACKAGE).rglob("*.py") if imported.search(path.read_text("utf-8"))]


def _tests(contexts: dict[int, list[str]], line: int) -> set[str]:
    return {context.rpartition("|")[0] for context in contexts.get(line, ()) if "|" in context}
