"""The weights of this distribution: which there are, which tasks they know, where they come from.

The one rule: a task that is asked for by name finds its weights by itself. Nothing heavy is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uniseg_nets.io.bundles import MODEL, model_file
from uniseg_nets.tasks import table_of

__all__ = ["DEMO", "OFFICIAL", "OPEN", "SHIPPED", "ShippedWeights", "files_by_name", "needed_by"]


@dataclass(frozen=True)
class ShippedWeights:
    """Weights that the bundle ``uniseg_upstream`` takes by name.

    Attributes:
        name: what ``--weights`` calls them.
        table: the task table whose tasks they know.
        file: in the bundle's ``models``.
        config: overlay of ``inference.json`` that makes their network; none where that is the default.
        origin: how they come to be there, and under which terms.
    """

    name: str
    table: str
    file: str
    config: str | None
    origin: str


OFFICIAL = ShippedWeights(
    "official", "uniseg", MODEL, None, "the authors', non-commercial: get them with `uniseg fetch-weights`"
)
OPEN = ShippedWeights("open", "open", "open.pt", "open.json", "in this package, CC BY-SA 4.0")
DEMO = ShippedWeights("demo", "uniseg", "demo.pt", "demo.json", "in this package, from synthetic patients, for trials")
SHIPPED = (OFFICIAL, OPEN, DEMO)


def files_by_name(root: Path) -> dict[str, str]:
    """What a name that stands for weights means in the bundle of a folder: name -> file."""
    return {one.name: str(model_file(root, one.file)) for one in SHIPPED}


def needed_by(task: Any, config: Mapping[str, Any], chosen: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """Values of ``inference.json`` that a task needs where nobody has chosen them: its table, and weights that know it.

    Args:
        task: as :meth:`TaskTable.select <uniseg_nets.tasks.TaskTable.select>` takes it; ``None`` for the config's own.
        config: the bundle's ``inference.json``. One that names its own table, or has none, needs nothing.
        chosen: values that replace those of the config; a table or weights among them stay.
        root: folder of the bundle.
    """
    table = table_of(task)
    if table == OFFICIAL.table or config.get("tasks_file", "") is not None or chosen.get("tasks_file") is not None:
        return {}
    values: dict[str, Any] = {"tasks_file": table}
    if chosen.get("weights") is None:
        values["weights"] = next(str(model_file(root, one.file)) for one in SHIPPED if one.table == table)
    return values
