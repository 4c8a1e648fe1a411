"""What went wrong, without what MONAI wraps around it."""

from __future__ import annotations

__all__ = ["root_cause", "root_error"]


def root_error(error: BaseException) -> BaseException:
    """The error that others were raised from: MONAI wraps what a transform or a part of a config raises."""
    while error.__cause__ is not None and type(error) is RuntimeError:
        error = error.__cause__
    return error


def root_cause(error: BaseException) -> str:
    """The message of :func:`root_error`."""
    error = root_error(error)
    return str(error).strip() or type(error).__name__
