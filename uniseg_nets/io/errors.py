"""Errors without MONAI's wrapping."""

from __future__ import annotations

__all__ = ["root_cause", "root_error"]


def root_error(error: BaseException) -> BaseException:
    """The original error. MONAI wraps errors of transforms and of parts of a config."""
    while error.__cause__ is not None and type(error) is RuntimeError:
        error = error.__cause__
    return error


def root_cause(error: BaseException) -> str:
    """The message of the original error, see :func:`root_error`."""
    error = root_error(error)
    return str(error).strip() or type(error).__name__
