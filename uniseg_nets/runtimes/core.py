"""OpenVINO's core, one per process."""

from __future__ import annotations

from functools import cache
from threading import Lock
from typing import Any

import openvino as ov

__all__ = ["core"]

_MAKING = Lock()


def core() -> Any:
    """The ``openvino.Core`` of this process, which lives until the process ends.

    With its first network, each core sets the stack on which the thread handles signals, and sets the previous one
    again at its own end. Cores that end in the order in which they came leave a stack whose memory is gone. The next
    signal then ends the process without a message: the end of a child process is such a signal after a ``DataLoader``
    had workers (seen with OpenVINO 2026.4). Never make another core: NNCF's own ones end before the next one comes.
    """
    with _MAKING:
        return _core()


@cache
def _core() -> Any:
    return ov.Core()
