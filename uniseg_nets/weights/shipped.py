"""The shipped weights with their tasks and origin.

The one rule: the name of a task is enough to find its weights. Nothing heavy is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uniseg_nets.io.bundles import MODEL, model_file
from uniseg_nets.io.messages import did_you_mean, no_weights
from uniseg_nets.tasks import table_of
from uniseg_nets.weights.licence import AUTHORS_TERMS, CODE_LICENCE, OPEN_2D_TERMS, OPEN_TERMS, TERMS

__all__ = [
    "DEMO",
    "DEMO_2D",
    "OFFICIAL",
    "OPEN",
    "OPEN_2D",
    "SHIPPED",
    "SHIPPED_2D",
    "ShippedWeights",
    "ShippedWeights2D",
    "files_by_name",
    "named_weights",
    "needed_by",
]


@dataclass(frozen=True)
class ShippedWeights:
    """Weights that the bundle ``uniseg_upstream`` accepts by name.

    Attributes:
        name: name for ``--weights``.
        table: task table of their tasks.
        file: file in the bundle's ``models``.
        config: overlay of ``inference.json`` for their network; ``None`` for the default network.
        origin: their origin, in words.
        licence: their licence terms, in words.
    """

    name: str
    table: str
    file: str
    config: str | None
    origin: str
    licence: str


OFFICIAL = ShippedWeights(
    "official",
    "uniseg",
    MODEL,
    None,
    "the authors', get them with `uniseg fetch-weights`",
    TERMS[AUTHORS_TERMS].licence,
)
OPEN = ShippedWeights("open", "open", "open.pt", "open.json", "in this package", TERMS[OPEN_TERMS].licence)
DEMO = ShippedWeights(
    "demo", "uniseg", "demo.pt", "demo.json", "in this package, from synthetic patients, for trials", CODE_LICENCE
)
SHIPPED = (OFFICIAL, OPEN, DEMO)


@dataclass(frozen=True)
class ShippedWeights2D:
    """Weights that ``segment-2d`` accepts by name.

    Attributes:
        name, file, origin, licence: as for :class:`ShippedWeights`, of the bundle ``esp_medsam_2d``.
        configs: overlays of ``inference.json`` for their network.
    """

    name: str
    file: str
    configs: tuple[str, ...]
    origin: str
    licence: str


OPEN_2D = ShippedWeights2D(
    "open",
    "open.pt",
    ("small.json", "open.json"),
    "in this package, for fetal heads in ultrasound and nuclei in microscopy",
    TERMS[OPEN_2D_TERMS].licence,
)
DEMO_2D = ShippedWeights2D(
    "demo", "demo.pt", ("demo.json",), "in this package, from synthetic images, for trials", CODE_LICENCE
)
SHIPPED_2D = (OPEN_2D, DEMO_2D)


def files_by_name(root: Path) -> dict[str, str]:
    """Name of shipped weights -> their file in the bundle folder ``root``."""
    return {one.name: str(model_file(root, one.file)) for one in SHIPPED}


def named_weights(weights: Any, root: Path) -> Any:
    """Weights with the names of shipped ones replaced by their files; several as a list.

    Raises:
        FileNotFoundError: a file does not exist; the message has the nearest name.
    """
    if isinstance(weights, (list, tuple)):
        return [named_weights(one, root) for one in weights]
    named = files_by_name(root)
    file = named.get(str(weights), weights)
    if not Path(file).is_file():
        raise FileNotFoundError(no_weights(file, did_you_mean(str(weights), named)))
    return file


def needed_by(task: Any, config: Mapping[str, Any], chosen: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """Default values of ``inference.json`` for a task: its table, and weights for it.

    Args:
        task: as for :meth:`TaskTable.select <uniseg_nets.tasks.TaskTable.select>`; ``None`` for that of the config.
        config: the bundle's ``inference.json``. A config that names its own table, or has none, needs no values.
        chosen: values that the user has chosen. A chosen table or chosen weights are kept.
        root: folder of the bundle.
    """
    table = table_of(task)
    if table == OFFICIAL.table or config.get("tasks_file", "") is not None or chosen.get("tasks_file") is not None:
        return {}
    values: dict[str, Any] = {"tasks_file": table}
    if chosen.get("weights") is None:
        values["weights"] = next(str(model_file(root, one.file)) for one in SHIPPED if one.table == table)
    return values
