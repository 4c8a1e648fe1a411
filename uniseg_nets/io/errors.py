"""What went wrong, without what MONAI wraps around it; and a run of which some cases failed."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["CasesFailedError", "root_cause", "root_error"]


class CasesFailedError(ValueError):
    """Some cases of a finished run failed; the message names each with its reason.

    Attributes:
        failures: case name -> reason.
    """

    def __init__(self, failures: Mapping[str, str], total: int) -> None:
        self.failures = dict(failures)
        listing = "\n".join(f"  {name}: {reason}" for name, reason in self.failures.items())
        super().__init__(f"{len(self.failures)} of {total} cases failed, the others are done:\n{listing}")


def root_error(error: BaseException) -> BaseException:
    """The error that others were raised from: MONAI wraps what a transform or a part of a config raises."""
    while error.__cause__ is not None and type(error) is RuntimeError:
        error = error.__cause__
    return error


def root_cause(error: BaseException) -> str:
    """The message of :func:`root_error`."""
    error = root_error(error)
    return str(error).strip() or type(error).__name__
