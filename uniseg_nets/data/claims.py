"""Claims of processes on cases: several share a folder, no case is done twice, those of a dead process are taken over.

The one rule: a process computes a case only while it holds the claim, and lets go of it only after the case is finished
or has failed.

A claim is a small file that its process creates with ``O_EXCL``, which is atomic on local disks, on NFS since version
3, Lustre, GPFS, BeeGFS and SMB. Locks of the operating system (``flock``, ``fcntl``, and the libraries ``filelock`` and
``portalocker`` above them) are not used: on NFS they need a lock service, on Lustre a mount option without which each
machine silently locks for itself; and soft locks of these libraries stay when their process dies on another machine.
Each process has a heartbeat, a file whose time it renews. The clock is the file server's, so that the machines' own
may differ. Claims of a process whose heartbeat is too old, or gone, are free.
"""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
import uuid
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uniseg_nets.io.errors import ClaimLostError
from uniseg_nets.io.files import time_of

if TYPE_CHECKING:
    from uniseg_nets.transforms.result import ResultSaver

__all__ = ["Claims"]

_POLL = 2.0  # seconds between two looks at cases that others hold


class Claims:
    """Which of the cases this process gets, in ``OUTPUT_DIR/.claims``. A context: claims are made inside of it.

    A process that stood still for longer than ``expiry`` (a suspended machine, a hanging disk) finds its heartbeat gone
    and stops with :class:`~uniseg_nets.io.errors.ClaimLostError`. Where it wakes up in the very moment in which another
    process takes over, both write the same result.

    Args:
        saver: says where results lie, and which cases are finished.
        expiry: seconds without a heartbeat after which a process counts as dead.
    """

    def __init__(self, saver: ResultSaver, expiry: float = 180) -> None:
        if expiry <= 0:
            raise ValueError(f"expiry of claims is {expiry}, expected seconds above 0")
        self.saver = saver
        self.expiry = expiry
        self._folder = saver.output_dir / ".claims"
        self._queue: deque[dict[str, Any]] = deque()
        self._held: dict[str, tuple[str, list[Path]]] = {}  # case name -> its key, and the files of its claim

    def begin(self, cases: Sequence[dict[str, Any]]) -> None:
        """The cases that are shared; all processes may have different ones."""
        self._queue = deque(cases)

    def __enter__(self) -> Claims:
        self._own = uuid.uuid4().hex
        self._heartbeat = self._alive(self._own)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._heartbeat.write_text(f"{socket.gethostname()} {os.getpid()}\n", encoding="utf-8")
        self._since = self._now()
        self._ended = threading.Event()
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._heartbeat.unlink(missing_ok=True)
        with suppress(OSError):  # others are at work, or cases have failed
            self._folder.rmdir()

    def next(self) -> tuple[dict[str, Any], bool]:
        """A case that this process holds now, ``True``; or one that another process has done meanwhile, ``False``.

        Waits where others hold all that is left.
        """
        looked = 0
        while True:
            case = self._queue.popleft()
            own = self._claim(case)
            if own is not None:
                return case, own
            self._queue.append(case)
            looked += 1
            if looked % len(self._queue) == 0:
                time.sleep(min(_POLL, self.expiry / 10))

    def check(self) -> None:
        """Raises ClaimLostError if other processes count this one as dead."""
        self._now()

    def release(self, name: str, failed: bool = False) -> None:
        """Lets go of a case. One that failed is left alone by the processes that are running now."""
        key, files = self._held.pop(name)
        if failed:
            self._failed(key).touch()
        else:
            self._failed(key).unlink(missing_ok=True)
        _delete(files)

    def _claim(self, case: dict[str, Any]) -> bool | None:
        """True: this process holds the case now; False: it is done; None: another process holds it."""
        target = self.saver.targets(case)[0].relative_to(self.saver.output_dir)
        key = hashlib.sha256(os.fsencode(target)).hexdigest()[:32]
        files = [self._folder / f"{key}.claim"]
        while not self._create(files[-1]):
            try:
                holder = files[-1].read_text(encoding="utf-8")
            except FileNotFoundError:  # released in this moment
                return None
            if self._is_alive(self._alive(holder) if holder else files[-1]):
                return None
            self._alive(holder).unlink(missing_ok=True)
            # A claim on what a dead process held has the name of that process: there is one such file, and one winner.
            # A process that died before it wrote its name, or found the disk full, has none.
            files.append(self._folder / f"{key}.after-{holder or len(files)}")
        if self.saver.is_finished(case) or self._failed_meanwhile(key):
            _delete(files)
            return False
        self._held[case["name"]] = key, files
        return True

    def _create(self, path: Path) -> bool:
        try:
            file = path.open("x", encoding="utf-8")
        except FileExistsError:
            return False
        try:
            with file:
                file.write(self._own)
        except OSError:  # a claim without a name would hold up the others
            with suppress(OSError):
                path.unlink()
            raise
        return True

    def _alive(self, process: str) -> Path:
        return self._folder / f"{process}.alive"

    def _failed(self, key: str) -> Path:
        return self._folder / f"{key}.failed"

    def _failed_meanwhile(self, key: str) -> bool:
        try:
            return time_of(self._failed(key)) >= self._since
        except FileNotFoundError:
            return False

    def _is_alive(self, heartbeat: Path) -> bool:
        try:
            return self._now() - time_of(heartbeat) < self.expiry
        except FileNotFoundError:
            return False

    def _now(self) -> float:
        """The time of the own heartbeat, by the file server's clock."""
        try:
            return time_of(self._heartbeat)
        except FileNotFoundError as error:
            raise ClaimLostError(
                f"this process stood still for more than {self.expiry:g} s, and others took over its cases: run the "
                "same command again"
            ) from error

    def _beat(self) -> None:
        while not self._ended.wait(self.expiry / 10):
            with suppress(OSError):  # `check` tells
                os.utime(self._heartbeat)


def _delete(files: Sequence[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)
