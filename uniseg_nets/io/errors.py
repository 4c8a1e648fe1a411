"""Errors without MONAI's wrapping, and errors of our own for what a user can mend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = [
    "CasesFailedError",
    "ClaimLostError",
    "NotInstalledError",
    "RefusedError",
    "not_installed",
    "root_cause",
    "root_error",
]


class ClaimLostError(OSError):
    """This process stood still so long that others took over its cases."""


class RefusedError(ValueError):
    """A case is refused before it is computed; the message gives the reasons.

    Attributes:
        record: the verdict as records have it.
    """

    def __init__(self, message: str, record: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.record = dict(record)


class NotInstalledError(ImportError):
    """An optional library is missing; the message says how to install it."""


def not_installed(what: str, *packages: str, instead: str = "") -> NotInstalledError:
    """The error of something that needs optional packages; the message says how to install them.

    Args:
        what: what needs them, in words, which begin the message.
        packages: names of the packages as pip has them.
        instead: how to do without, in words.
    """
    message = f"{what} needs {' and '.join(packages)}: `pip install {' '.join(packages)}`"
    return NotInstalledError(f"{message}; or, without it, {instead}" if instead else message)


class CasesFailedError(ValueError):
    """Some cases of a finished run failed; the message names each with its reason.

    Attributes:
        failures: case name -> reason.
    """

    def __init__(self, failures: Mapping[str, str], total: int) -> None:
        self.failures = dict(failures)
        listing = "\n".join(f"  {name}: {reason}" for name, reason in self.failures.items())
        rest = ", the others are done" if len(self.failures) < total else ""
        super().__init__(f"{len(self.failures)} of {total} cases failed{rest}:\n{listing}")


def root_error(error: BaseException) -> BaseException:
    """The original error. MONAI wraps errors of transforms and of parts of a config."""
    while error.__cause__ is not None and type(error) is RuntimeError:
        error = error.__cause__
    return error


def root_cause(error: BaseException) -> str:
    """The message of the original error, see :func:`root_error`."""
    error = root_error(error)
    return str(error).strip() or type(error).__name__
