"""``uniseg info``: what this installation is and can do, also as JSON for programs.

The one rule: nothing heavy is imported, so that the answer takes half a second.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from json import dumps
from typing import Any

from packaging.requirements import Requirement

from uniseg_nets.cli.describe import arguments_of, summary_of
from uniseg_nets.cli.status import MEANINGS
from uniseg_nets.io.bundles import bundle_folder, model_file
from uniseg_nets.tasks import Task, load_task_table
from uniseg_nets.version import __version__
from uniseg_nets.weights.shipped import SHIPPED, SHIPPED_2D, ShippedWeights, ShippedWeights2D

__all__ = ["tell_installation"]

_DISTRIBUTION = "uniseg-nets"


def tell_installation(groups: Mapping[str, Mapping[str, Callable[..., None]]], as_json: bool) -> None:
    """Prints the version, the weights that are here, and the optional packages.

    Args:
        groups: group -> name -> verb of the command.
        as_json: print JSON, with every verb and its arguments and the tasks of each weights.
    """
    weights, extras = [_weights(one) for one in SHIPPED], _extras()
    weights_2d = [_file("esp_medsam_2d", one) for one in SHIPPED_2D]
    if as_json:
        answer = {
            "version": __version__,
            "python": platform.python_version(),
            "verbs": _verbs(groups),
            "exit_status": MEANINGS,
            "weights": weights,
            "weights_2d": weights_2d,
            "extras": extras,
        }
        print(dumps(answer, indent=4))
        return
    print(f"uniseg-nets {__version__}, Python {platform.python_version()}")
    for title, group in (("weights", weights), ("weights for 2D images", weights_2d)):
        print(f"\n{title}:")
        for one in group:
            here = "here" if one["installed"] else "not here"
            print(f"  {one['name']:<12} {here:<9} {one['origin']} ({one['licence']})")
    print("\noptional packages:")
    for name, extra in extras.items():
        missing = [package for package, version in extra["packages"].items() if version is None]
        print(f"  {name:<12} {'installed' if extra['installed'] else 'needs ' + ', '.join(missing)}")


def _verbs(groups: Mapping[str, Mapping[str, Callable[..., None]]]) -> dict[str, Any]:
    return {
        name: {"group": group, "summary": summary_of(verb), "arguments": [asdict(one) for one in arguments_of(verb)]}
        for group, verbs in groups.items()
        for name, verb in verbs.items()
    }


def _weights(shipped: ShippedWeights) -> dict[str, Any]:
    table = load_task_table(shipped.table)
    return _file("uniseg_upstream", shipped) | {
        "tasks": [_task(task) for task in table],
        "merged_tasks": {name: [task.name for task in members] for name, members in table.groups.items()},
    }


def _file(bundle: str, shipped: ShippedWeights | ShippedWeights2D) -> dict[str, Any]:
    file = model_file(bundle_folder(bundle), shipped.file)
    return {
        "name": shipped.name,
        "licence": shipped.licence,
        "origin": shipped.origin,
        "installed": file.is_file(),
        "file": str(file),
    }


def _task(task: Task) -> dict[str, Any]:
    return {
        "name": task.name,
        "channels": task.channels,
        "spacing_zyx_mm": task.spacing,
        "labels": dict(zip(task.values, task.classes)),
    }


def _extras() -> dict[str, Any]:
    """Extra -> its packages with their installed versions; ``None`` for one that is missing or too old.

    Empty where this package itself is not installed, such as in a checkout on Python's path.
    """
    try:
        own = metadata.metadata(_DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return {}
    needed = [Requirement(line) for line in own.get_all("Requires-Dist", [])]
    answer = {}
    for extra in own.get_all("Provides-Extra", []):
        packages = {one.name: _version(one) for one in _of_extra(extra, needed)}
        answer[extra] = {"installed": None not in packages.values(), "packages": packages}
    return answer


def _of_extra(extra: str, needed: Sequence[Requirement]) -> Iterator[Requirement]:
    """The requirements of an extra, with those of the extras that it names."""
    for one in needed:
        if one.marker is not None and one.marker.evaluate({"extra": extra}):
            if one.name == _DISTRIBUTION:
                for named in sorted(one.extras):
                    yield from _of_extra(named, needed)
            else:
                yield one


def _version(requirement: Requirement) -> str | None:
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return None
    return version if requirement.specifier.contains(version, prereleases=True) else None
