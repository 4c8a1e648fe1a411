"""A bundle's inference with what a user chose of it, checked before anything heavy is imported."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from uniseg_nets.bundle.overrides import known_table, refuse_open_task, refuse_unknown
from uniseg_nets.io.bundles import model_file
from uniseg_nets.io.files import read_json
from uniseg_nets.io.messages import no_weights
from uniseg_nets.weights.shipped import DEMO, files_by_name, needed_by

__all__ = ["ChosenInference"]

logger = logging.getLogger(__name__)

# Of this network, features and patch follow from the weights; a plan or a bundle of its own has them written down.
_SIZED_BY_WEIGHTS = "uniseg_nets.UniSeg"


class ChosenInference:
    """Which configs of a bundle are run, and which of their values are replaced.

    Args:
        root: the bundle's folder.
        overlays: laid over ``inference.json``: names of its ``configs``, or paths.
        task: what to segment, where the bundle leaves a choice.
        weights: files, or names of :data:`~uniseg_nets.weights.shipped.SHIPPED`; by default the bundle's own,
            or those that know the task.
        options: further values of the config; ``None`` for its own.

    Raises:
        FileNotFoundError: no weights.
        ValueError: no such overlay, option or task, or none where one must be chosen.
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
        """The values to replace; where the network's sizes follow from the weights, these are read and among them."""
        values = dict(self._options) if self._task is None else {"task": self._task, **self._options}
        if self._weights:
            values["weights"] = self._weights if len(self._weights) > 1 else self._weights[0]
        if self._config["network_def"]["_target_"] == _SIZED_BY_WEIGHTS:
            from uniseg_nets.weights.checkpoints import read_weights

            checkpoint = read_weights(self._weights[0])
            values |= {"weights": checkpoint, **checkpoint.overrides()}
        return values

    def _merged(self) -> dict[str, Any]:
        files = [self.root / "configs" / name for name in self.configs]  # of an absolute path itself is left
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
        named = files_by_name(self.root)
        files = [named.get(file, file) for file in weights or [default]]
        if named[DEMO.name] in files:
            logger.warning("demo weights, trained on synthetic patients: on a real scan the result means nothing")
        for file in files:
            if not Path(file).is_file():
                raise FileNotFoundError(no_weights(file))
        return files
