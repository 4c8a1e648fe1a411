"""Names of earlier versions, for packed bundles and MONAI Label apps. Those of up to 0.8 are removed in version 0.10.

The one rule: an old name means the same as the new one, and a warning, which users see, names the new one.
"""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, TypeVar, cast

__all__ = ["accept_old_modules", "removed_arguments", "renamed_arguments", "renamed_names"]

Function = TypeVar("Function", bound=Callable[..., Any])

_PACKAGE = __name__.rpartition(".")[0]
# Old modules -> the present modules of their names.
_MODULES = {
    "centres": ("inferers.centre", "weights.base"),
    "checkpoints": ("weights.checkpoints",),
    "freezing": ("weights.freezing",),
    "pictures": ("image2d",),
    "seg_nrrd": ("results.seg_nrrd",),
    "serve": ("bundle.label_app",),
    "serve_scoring": ("bundle.label_scoring",),
    "transfer": ("weights.transfer",),
}


class _OldModule(Loader):
    def __init__(self, homes: Sequence[str]) -> None:
        self.homes = homes

    def exec_module(self, module: ModuleType) -> None:
        new = " and ".join(f"{_PACKAGE}.{home}" for home in self.homes)
        _warn(module.__name__, new)
        for home in self.homes:
            new_module = import_module(f"{_PACKAGE}.{home}")
            module.__dict__.update({name: getattr(new_module, name) for name in new_module.__all__})


class _OldModules(MetaPathFinder):
    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        package, _, module = name.rpartition(".")
        homes = _MODULES.get(module) if package == _PACKAGE else None
        return None if homes is None else ModuleSpec(name, _OldModule(homes))


def accept_old_modules() -> None:
    """Allows the import of moved modules by their old names."""
    sys.meta_path.append(_OldModules())


def renamed_names(module: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """A module's ``__getattr__`` for names that were renamed or moved.

    Args:
        module: ``__name__`` of the module.
        names: old name -> new name, dotted, relative to the package.
    """

    def get(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        home, _, new = names[name].rpartition(".")
        _warn(f"{module}.{name}", f"{_PACKAGE}.{names[name]}")
        return getattr(import_module(f"{_PACKAGE}.{home}"), new)

    return get


def renamed_arguments(**names: str) -> Callable[[Function], Function]:
    """A decorator: the function takes the old names of its arguments too.

    Args:
        names: old name -> new one.
    """

    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            for old in names.keys() & kwargs.keys():
                if names[old] in kwargs:
                    raise TypeError(f"{function.__qualname__} got both {names[old]} and {old}, its old name")
                _warn(f"argument {old} of {function.__qualname__}", names[old])
                kwargs[names[old]] = kwargs.pop(old)
            return function(*args, **kwargs)

        return cast(Function, call)

    return decorate


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


def _warn(old: str, new: str) -> None:
    warnings.warn(f"{old} is {new} now: its old name goes in version 0.10", FutureWarning, stacklevel=3)
