"""The inference of a bundle with a user's choices, checked before anything heavy is imported."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from uniseg_nets.bundle.overrides import (
    known_table,
    refuse_open_task,
    refuse_unknown,
    refuse_without_tasks,
    refuse_wrong_types,
    refuse_wrong_weights,
)
from uniseg_nets.io.bundles import model_file
from uniseg_nets.io.devices import device_of
from uniseg_nets.io.errors import root_error
from uniseg_nets.io.files import read_json
from uniseg_nets.io.plain import plain_data
from uniseg_nets.tasks import TaskTable
from uniseg_nets.weights.shipped import DEMO, files_by_name, named_weights, needed_by

__all__ = ["ChosenInference"]

logger = logging.getLogger(__name__)

# The weights of this network give its features and patch. Plans and packed bundles have them in their configs.
_SIZED_BY_WEIGHTS = "uniseg_nets.UniSeg"


class ChosenInference:
    """The configs of a bundle to run, and the values that replace some of theirs.

    Args:
        root: folder of the bundle.
        overlays: configs merged over ``inference.json``: names of its ``configs``, or paths.
        how: how the user names a task, for messages.
        values: values of the config to replace, among them ``task``, the task or several, which is needed if the bundle
            has several; ``weights``, a file or several, or names of :data:`~uniseg_nets.weights.shipped.SHIPPED`, by
            default those of the bundle, or those that have the task; and ``device``.

    Raises:
        FileNotFoundError: the weights do not exist.
        ValueError: the bundle does not segment 3D scans; an overlay, value or task is unknown; a value has another
            type; several tasks are possible and none is chosen; several weights are given to a bundle that takes one;
            or the device does not exist.
    """

    def __init__(self, root: Path, overlays: Sequence[str] = (), how: str = "`--task`", /, **values: Any) -> None:
        self.root = root
        self.configs = ["inference.json", *overlays]
        self._config = self._merged()
        refuse_without_tasks(self._config, root.name)
        refuse_unknown(values, self._config, root.name)
        refuse_wrong_types(values, self._config)
        needed = needed_by(values.get("task"), self._config, values, root)
        default = needed.pop("weights", str(model_file(root)))
        self._values = needed | values
        self._check_task(how)
        self._weights = self._weight_files(self._values.pop("weights", None), default)
        if "device" in values:
            self._values["device"] = device_of(values["device"])

    def overrides(self) -> dict[str, Any]:
        """The values to replace. If the sizes of the network follow from the weights, these are read and included."""
        values = dict(self._values)
        if self._weights:
            values["weights"] = self._weights if len(self._weights) > 1 else self._weights[0]
        if self._config["network_def"]["_target_"] == _SIZED_BY_WEIGHTS:
            from uniseg_nets.weights.checkpoints import read_weights

            checkpoint = read_weights(self._weights[0])
            values |= {"weights": checkpoint, **checkpoint.overrides()}
        return values

    def tasks(self) -> tuple[TaskTable, Any]:
        """The task table of the configs, and the task or tasks of the run. MONAI's parser makes them."""
        from monai.bundle import ConfigParser

        parser = ConfigParser()
        parser.read_config([str(self.root / "configs" / name) for name in self.configs])
        parser.update({"bundle_root": str(self.root), **plain_data(self._values)})
        try:
            return parser.get_parsed_content("tasks"), parser.get_parsed_content("task")
        except RuntimeError as error:
            raise root_error(error) from None

    def _merged(self) -> dict[str, Any]:
        files = [self.root / "configs" / name for name in self.configs]  # an absolute path stays as it is
        for file in files:
            if not file.is_file():
                raise ValueError(f"bundle {self.root.name} has no {file.name} ({file})")
        return {key: value for file in files for key, value in read_json(file).items()}

    def _check_task(self, how: str) -> None:
        config = self._config | self._values
        if self._values.get("task") is None:
            refuse_open_task(config, how)
            return
        table = known_table(config)
        if table is not None:
            table.select(self._values["task"])

    def _weight_files(self, weights: Any, default: str) -> list[Any]:
        if weights is None and self._config["network_def"]["_target_"] != _SIZED_BY_WEIGHTS:
            return []
        weights = default if weights is None else weights
        refuse_wrong_weights(weights, self._config)
        files: list[Any] = named_weights(list(weights) if isinstance(weights, (list, tuple)) else [weights], self.root)
        if files_by_name(self.root)[DEMO.name] in map(str, files):
            logger.warning("demo weights, trained on synthetic patients: on a real scan the result means nothing")
        return files
