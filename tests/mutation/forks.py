"""Tests run in a fork per mutant, on a copy of the project: what is slow to import is imported once, by the parent.

The one rule: nothing is mutated in place, and the parent never imports the package.
"""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.mutation.mutants import Mutant

_HEAVY = ("torch", "monai", "monai.bundle", "ignite.engine", "nibabel", "itk", "scipy.ndimage", "pydicom", "highdicom")
_OPTIONS = ["-x", "-q", "--no-header", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:cov", "-W", "ignore"]


def import_heavy() -> None:
    """Imports what the children would import each, as far as it is installed."""
    for name in _HEAVY:
        with suppress(ImportError):
            importlib.import_module(name)


@dataclass
class Fork:
    """A copy of the project in which one child at a time runs tests.

    Attributes:
        folder: where the copy lies; its log lies beside it.
    """

    folder: Path
    _pid: int = 0
    _until: float = 0.0
    _untouched: dict[Path, str] = field(default_factory=dict)

    @classmethod
    def copied(cls, root: Path, folder: Path) -> Fork:
        """A copy of the files that git knows or would know."""
        listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        names = subprocess.run(listed, cwd=root, check=True, capture_output=True, text=True).stdout.split("\0")
        for name in filter(None, names):
            if (root / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(root / name, folder / name)
        return cls(folder)

    @property
    def log(self) -> Path:
        return self.folder.with_suffix(".log")

    def start(self, mutant: Mutant, tests: list[str], limit: float) -> None:
        """Puts a mutant into the copy and runs tests in a child, for ``limit`` seconds at most."""
        self._until = time.monotonic() + limit
        file = self.folder / mutant.file
        self._untouched = {file: file.read_text(encoding="utf-8")}
        file.write_text(mutant.source, encoding="utf-8")
        self._pid = os.fork()
        if not self._pid:
            os._exit(self._child(tests))

    def _child(self, tests: list[str]) -> int:
        os.setsid()
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.chdir(self.folder)
        for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
            del sys.modules[name]
        sys.path.insert(0, str(self.folder))
        # Two mutants of one second and one size would pass for one another in a cache of compiled code.
        sys.dont_write_bytecode = True
        os.environ |= {"PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"}
        return int(pytest.main([*_OPTIONS, f"--basetemp={self.folder.with_suffix('.tmp')}", *tests]))

    def noticed(self) -> str:
        """What noticed the mutant: the first line of pytest's summary."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return next((line for line in lines if line.startswith(("FAILED tests/", "ERROR tests/"))), "")

    def ended(self) -> str | None:
        """None as long as the child runs; then ``survived``, ``killed`` or ``timeout``, the copy being whole again."""
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        if not pid and time.monotonic() < self._until:
            return None
        with suppress(ProcessLookupError):
            os.killpg(self._pid, signal.SIGKILL)
        if not pid:
            os.waitpid(self._pid, 0)
        for file, source in self._untouched.items():
            file.write_text(source, encoding="utf-8")
        return "timeout" if not pid else "killed" if status else "survived"
