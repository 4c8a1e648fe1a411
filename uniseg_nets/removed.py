"""Arguments of earlier versions, which configs of packed bundles and MONAI Label apps still give."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, TypeVar, cast

__all__ = ["removed_arguments"]

Function = TypeVar("Function", bound=Callable[..., Any])


def removed_arguments(*names: str) -> Callable[[Function], Function]:
    """A decorator: the function takes arguments that it had, without an effect.

    Args:
        names: the arguments. One with a value other than ``None`` is named in a warning.
    """

    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            for name in set(names) & kwargs.keys():
                if kwargs.pop(name) is not None:
                    text = f"argument {name} of {function.__qualname__} has no effect any more: leave it out"
                    warnings.warn(text, FutureWarning, stacklevel=2)
            return function(*args, **kwargs)

        return cast(Function, call)

    return decorate
