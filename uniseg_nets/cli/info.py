"""``uniseg info``: what this installation is and can do, also as JSON for programs.

The one rule: nothing heavy is imported, so that the answer takes half a second.
"""

from __future__ import annotations

import platform
from dataclasses import asdict
from importlib import metadata
from json import dumps
from typing import Any

from packaging.requirements import Requirement

from uniseg_nets.io.bundles import bundle_folder, model_file
from uniseg_nets.tasks import Task, load_task_table
from uniseg_nets.version import __version__
from uniseg_nets.weights.shipped import SHIPPED, SHIPPED_2D, ShippedWeights, ShippedWeights2D

__all__ = ["info"]

_DISTRIBUTION = "uniseg-nets"


def info(*, json: bool = False) -> None:
    """Tell the version, the weights that are here, and which optional packages are installed.

    Args:
        json: print all of it as JSON, with every verb and its arguments and the tasks of each weights.
    """
    weights, extras = [_weights(one) for one in SHIPPED], _extras()
    weights_2d = [_file("esp_medsam_2d", one) for one in SHIPPED_2D]
    if json:
        from uniseg_nets.cli.help import EXIT_STATUS

        answer = {
            "version": __version__,
            "python": platform.python_version(),
            "verbs": _verbs(),
            "exit_status": EXIT_STATUS,
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


def _verbs() -> dict[str, Any]:
    from uniseg_nets.cli.describe import arguments_of, summary_of
    from uniseg_nets.cli.verbs import GROUPS

    return {
        name: {"group": group, "summary": summary_of(verb), "arguments": [asdict(one) for one in arguments_of(verb)]}
        for group, verbs in GROUPS.items()
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
    optional = [
        (one, one.marker) for one in map(Requirement, own.get_all("Requires-Dist", [])) if one.marker is not None
    ]
    answer = {}
    for extra in own.get_all("Provides-Extra", []):
        packages = {one.name: _version(one) for one, marker in optional if marker.evaluate({"extra": extra})}
        answer[extra] = {"installed": None not in packages.values(), "packages": packages}
    return answer


def _version(requirement: Requirement) -> str | None:
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return None
    return version if requirement.specifier.contains(version, prereleases=True) else None
