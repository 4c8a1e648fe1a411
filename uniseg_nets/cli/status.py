"""The exit statuses of the ``uniseg`` command."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

__all__ = ["MEANINGS", "Status"]


class Status(IntEnum):
    """How a command ended; :data:`MEANINGS` says it in words."""

    DONE = 0
    ERROR = 1
    NOT_UNDERSTOOD = 2
    CASES_FAILED = 3
    STOPPED = 130


MEANINGS: Mapping[Status, str] = {
    Status.DONE: "done",
    Status.ERROR: "an error that the message says how to mend; or a fault of this program, with its traceback",
    Status.NOT_UNDERSTOOD: "the command was not understood, nothing has run",
    Status.CASES_FAILED: (
        "the run is done, some cases of it failed or were refused; with --strict also: are to be checked"
    ),
    Status.STOPPED: "stopped",
}
