"""The ``uniseg`` command: thin verbs over the bundles and the package."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from typing import Any

import fire

from uniseg_nets.cli.arguments import Call, NotUnderstoodError, deferred, spelled_out
from uniseg_nets.cli.help import overview, page_of
from uniseg_nets.cli.status import Status
from uniseg_nets.cli.verbs import RESUMED, VERBS, verb_named
from uniseg_nets.io.errors import CasesFailedError, NotInstalledError
from uniseg_nets.version import __version__

__all__ = ["main"]

logger = logging.getLogger("uniseg")

_HELP = ("--help", "-h")
# Errors that a user can mend: the message is enough. Any other error is a fault of this program and shows a traceback.
_USER_ERRORS = (ValueError, OSError, NotInstalledError)
_STATUS = {NotUnderstoodError: Status.NOT_UNDERSTOOD, CasesFailedError: Status.CASES_FAILED}


def main() -> None:
    """Entry point of the console script and of ``python -m uniseg_nets``."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("ignite").setLevel(logging.ERROR)
    try:
        call = _understood(sys.argv[1:])
        if call is not None:
            call.run()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head`, has enough; Python's own flush at exit must not fail again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(Status.ERROR)
    except _USER_ERRORS as error:
        logger.error("%s", _message(error))
        sys.exit(_STATUS.get(type(error), Status.ERROR))
    except KeyboardInterrupt:
        resumed = sys.argv[1:2] and sys.argv[1].replace("_", "-") in RESUMED
        left = "goes on with the cases that are left" if resumed else "starts again"
        logger.error("stopped; the same command %s", left)
        sys.exit(Status.STOPPED)


def _message(error: BaseException) -> str:
    """The message of an error, without Python's ``[Errno 2]``; the file comes first."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename2 or error.filename}: {error.strerror.lower()}"
    return str(error)


def _understood(words: Sequence[str]) -> Call | None:
    """The checked call of a command; ``None`` if it asked for help, which is then printed."""
    if not words or words[0] in (*_HELP, "help"):
        _refuse_more(words[2:])
        print(page_of(*verb_named(words[1])) if words[1:] else overview())
        return None
    if words[0] == "--version":
        _refuse_more(words[1:])
        print(f"uniseg-nets {__version__}")
        return None
    command = list(words)
    if words[0] != "--":  # else fire's own flags alone, such as --completion
        name, verb = verb_named(words[0])
        if any(word in _HELP for word in words[1:]):
            print(page_of(name, verb))
            return None
        command = [name, *spelled_out(name, words[1:], verb)]
    verbs = {name: deferred(verb) for name, verb in VERBS.items()}
    result = fire.Fire(verbs, command=command, name="uniseg", serialize=_printed)
    return result if isinstance(result, Call) else None


def _refuse_more(words: Sequence[str]) -> None:
    if words:
        raise NotUnderstoodError(f"{' '.join(map(repr, words))}: too many words; `uniseg --help` lists the verbs")


def _printed(result: Any) -> Any:
    """The result for fire to print: nothing for a call that has not run yet."""
    return None if isinstance(result, Call) else result
