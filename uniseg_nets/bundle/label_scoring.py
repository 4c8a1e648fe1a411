"""Which image to label next, for MONAI Label: the one that the network is least sure of.

Not MONAI Label's ``EpistemicScoring``: it asks a network with dropout several times, and ours have none.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from uniseg_nets.io.errors import root_cause
from uniseg_nets.tasks import chosen

__all__ = ["ActiveLearning", "UncertaintyScoring", "uncertainty"]

logger = logging.getLogger(__name__)

# What the server's store of images says of each: how unsure, and of which task and weights that holds.
_SCORE = "uncertainty"
_MADE_OF = "uncertainty_of"
# Where the background has less probability than this, something may be there.
_CERTAIN = 0.95


def uncertainty(scores: Tensor, sizes: Sequence[int]) -> float:
    """How unsure class scores are, 0 to 1: their mean entropy where something may be there.

    Entropy as in Nath et al. 2021, "Diminishing uncertainty within the training pool", but of one prediction, divided
    by that of even scores. Only voxels count whose background has a probability below 0.95: else the size of the
    structure would decide. Where there are none, 0: the network is sure that it sees nothing.

    Args:
        scores: (sum of K, z, y, x), softmax of each task, its background first.
        sizes: K of each task.
    """
    total, voxels = 0.0, 0
    for part in scores.float().split(list(sizes)):
        unsure = part[:, part[0] < _CERTAIN]  # (K, voxels)
        total += float(torch.special.entr(unsure).sum()) / math.log(len(part))
        voxels += unsure.shape[1]
    return total / voxels if voxels else 0.0


class UncertaintyScoring:
    """A scoring method of a MONAI Label server: writes to its store how unsure the network is of unlabelled images.

    It has what the server asks of its own ``ScoringMethod``. Images that were scored for the same task with the same
    weights are skipped; one that cannot be segmented comes last.

    Args:
        model: its name.
        infer_task: the server's inference with it.
    """

    def __init__(self, model: str, infer_task: Any) -> None:
        self.model = model
        self.infer_task = infer_task
        self.description = f"How unsure {model} is of each image without a label, 0 to 1"

    def info(self) -> dict[str, str]:
        return {"description": self.description}

    def __call__(self, request: dict[str, Any], datastore: Any) -> dict[str, Any]:
        """Scores the images for the request's ``task``, or the first one of the menu; returns what was done.

        Raises:
            ValueError: no such task.
        """
        own, sizes = self._task(request.get("task"))
        weights = Path(self.infer_task.get_path())
        made_of = f"{self.model}, {own.get('task', 'its task')}, weights of {weights.stat().st_mtime_ns} ns"
        images = datastore.get_unlabeled_images()
        left = [image for image in images if datastore.get_image_info(image).get(_MADE_OF) != made_of]
        failed = {}
        for image in left:
            entry = {_SCORE: 0.0, _MADE_OF: ""}
            try:
                scores = self._scores({"image": datastore.get_image_uri(image), **own, "device": request.get("device")})
                entry = {_SCORE: uncertainty(scores, sizes or [len(scores)]), _MADE_OF: made_of}
            except Exception as error:  # what is wrong with an image shows anywhere
                logger.exception("no score of %s", image)
                failed[image] = root_cause(error)
            datastore.refresh()  # the server may have written since
            datastore.update_image_info(image, entry)
        return {"total": len(images), "skipped": len(images) - len(left), "failed": failed}

    def _task(self, task: Any) -> tuple[dict[str, Any], list[int]]:
        """What a request says of the task, and the number of its outputs; nothing where the model has but one."""
        menu = getattr(self.infer_task, "displayable_configs", {}).get("task")
        if not menu:
            return {}, []
        word = chosen(task or menu)
        selected = self.infer_task.bundle_config.get_parsed_content("tasks").select(word)
        return {"task": word}, [one.num_outputs for one in selected]

    def _scores(self, request: dict[str, Any]) -> Tensor:
        outputs: list[Tensor] = []

        def keep(data: dict[str, Any]) -> dict[str, Any]:
            outputs.append(data[self.infer_task.output_label_key])
            return data

        self.infer_task({**request, "skip_writer": "true", "logging": "error"}, callbacks={"INFERER": keep})
        return outputs[0]


class ActiveLearning:
    """Adds to an app for bundles, started with ``--conf uncertain_first true``, a scoring of each model and a strategy.

    The scorings are called ``MODEL_uncertainty``. The strategy ``uncertain_first`` serves the images that were not
    served lately, the least sure first.
    """

    def init_scoring_methods(self) -> dict[str, Any]:
        methods: dict[str, Any] = super().init_scoring_methods()  # type: ignore[misc]
        if self._wanted():
            models = self._infers.items()  # type: ignore[attr-defined]
            methods |= {f"{name}_{_SCORE}": UncertaintyScoring(name, task) for name, task in models}
        return methods

    def init_strategies(self) -> dict[str, Any]:
        strategies: dict[str, Any] = super().init_strategies()  # type: ignore[misc]
        if self._wanted():
            from monailabel.tasks.activelearning.epistemic import Epistemic

            strategies["uncertain_first"] = Epistemic(key=_SCORE, desc="The image that the network is least sure of")
        return strategies

    def next_sample(self, request: Any) -> Any:
        self.datastore().refresh()  # type: ignore[attr-defined]  # scorings run in a process of their own
        return super().next_sample(request)  # type: ignore[misc]

    def _wanted(self) -> bool:
        return str(self.conf.get("uncertain_first")).lower() == "true"  # type: ignore[attr-defined]
