"""The inference of a bundle with a user's choices, checked before anything heavy is imported."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from uniseg_nets.bundle.overrides import (
    known_table,
    refuse_open_task,
    refuse_unknown,
    refuse_without_tasks,
    refuse_wrong_weights,
)
from uniseg_nets.io.bundles import model_file
from uniseg_nets.io.files import read_json
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
        task: the task, or several; needed if the bundle has several tasks.
        weights: files, or names of :data:`~uniseg_nets.weights.shipped.SHIPPED`; by default those of the bundle, or
            those that have the task.
        options: further values of the config; ``None`` keeps the config's value.

    Raises:
        FileNotFoundError: the weights do not exist.
        ValueError: the bundle does not segment 3D scans; an overlay, option or task is unknown; several tasks are
            possible and none is chosen; or several weights are given to a bundle that takes one.
    """

    def __init__(
        self,
        root: Path,
        overlays: Sequence[str] = (),
        task: Any = None,
        weights: Sequence[str] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.root = root
        self.configs = ["inference.json", *overlays]
        self._config = self._merged()
        refuse_without_tasks(self._config, root.name)
        self._options = {name: value for name, value in (options or {}).items() if value is not None}
        refuse_unknown(self._options, self._config, root.name)
        own = {} if weights is None else {"weights": weights}
        needed = needed_by(task, self._config, self._options | own, root)
        default = needed.pop("weights", str(model_file(root)))
        self._options |= needed
        self._check_task(task)
        self._task = task
        self._weights = self._weight_files(weights, default)

    def overrides(self) -> dict[str, Any]:
        """The values to replace. If the sizes of the network follow from the weights, these are read and included."""
        values = dict(self._options) if self._task is None else {"task": self._task, **self._options}
        if self._weights:
            values["weights"] = self._weights if len(self._weights) > 1 else self._weights[0]
        if self._config["network_def"]["_target_"] == _SIZED_BY_WEIGHTS:
            from uniseg_nets.weights.checkpoints import read_weights

            checkpoint = read_weights(self._weights[0])
            values |= {"weights": checkpoint, **checkpoint.overrides()}
        return values

    def _merged(self) -> dict[str, Any]:
        files = [self.root / "configs" / name for name in self.configs]  # an absolute path stays as it is
        for file in files:
            if not file.is_file():
                raise ValueError(f"bundle {self.root.name} has no {file.name} ({file})")
        return {key: value for file in files for key, value in read_json(file).items()}

    def _check_task(self, task: Any) -> None:
        config = self._config | self._options
        if task is None:
            refuse_open_task(config, "`--task`")
            return
        table = known_table(config)
        if table is not None:
            table.select(task)

    def _weight_files(self, weights: Sequence[str] | None, default: str) -> list[str]:
        if weights is None and self._config["network_def"]["_target_"] != _SIZED_BY_WEIGHTS:
            return []
        refuse_wrong_weights(weights or default, self._config)
        files: list[str] = named_weights(weights or [default], self.root)
        if files_by_name(self.root)[DEMO.name] in files:
            logger.warning("demo weights, trained on synthetic patients: on a real scan the result means nothing")
        return files
