"""Chooses the next image to label, for MONAI Label: the one of which the network is least sure.

Not MONAI Label's ``EpistemicScoring``: it needs a network with dropout, and the networks of this package have none.
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

# Fields of an image in the server's datastore: its uncertainty, and the task and weights of that score.
_SCORE = "uncertainty"
_MADE_OF = "uncertainty_of"
# A voxel with a lower background probability counts.
_CERTAIN = 0.95


def uncertainty(scores: Tensor, sizes: Sequence[int]) -> float:
    """The uncertainty of class scores, 0 to 1: the mean entropy over voxels that may belong to a structure.

    The entropy is that of Nath et al. 2021, "Diminishing uncertainty within the training pool", but of one prediction,
    and divided by the entropy of equal scores. Only voxels with a background probability below 0.95 count; otherwise
    the size of the structure would decide. Without such voxels the result is 0.

    Args:
        scores: (sum of K, z, y, x), softmax of each task, its background first.
        sizes: K of each task, with background.
    """
    total, voxels = 0.0, 0
    for part in scores.float().split(list(sizes)):
        unsure = part[:, part[0] < _CERTAIN]  # (K, voxels)
        total += float(torch.special.entr(unsure).sum()) / math.log(len(part))
        voxels += unsure.shape[1]
    return total / voxels if voxels else 0.0


class UncertaintyScoring:
    """A scoring method of a MONAI Label server: writes the uncertainty of unlabelled images to its datastore.

    It has the interface of the server's ``ScoringMethod``. Images that were scored for the same task with the same
    weights are skipped. Images that cannot be segmented come last.

    Args:
        model: name of the model.
        infer_task: the server's inference with the model.
    """

    def __init__(self, model: str, infer_task: Any) -> None:
        self.model = model
        self.infer_task = infer_task
        self.description = f"How unsure {model} is of each image without a label, 0 to 1"

    def info(self) -> dict[str, str]:
        return {"description": self.description}

    def __call__(self, request: dict[str, Any], datastore: Any) -> dict[str, Any]:
        """Scores the images for the ``task`` of the request, by default the first one of the menu.

        Returns:
            The numbers of images, ``total`` and ``skipped``, and ``failed``: image -> reason.

        Raises:
            ValueError: the task is unknown.
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
            except Exception as error:  # a faulty image can fail at any step
                logger.exception("no score of %s", image)
                failed[image] = root_cause(error)
            datastore.refresh()  # the server may have written since
            datastore.update_image_info(image, entry)
        return {"total": len(images), "skipped": len(images) - len(left), "failed": failed}

    def _task(self, task: Any) -> tuple[dict[str, Any], list[int]]:
        """The task for the request, and the numbers of outputs; both empty if the model has only one task."""
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
    """Adds a scoring per model and a strategy to an app that is started with ``--conf uncertain_first true``.

    The scorings are called ``MODEL_uncertainty``. The strategy ``uncertain_first`` serves the images that were not
    served recently, those with the highest uncertainty first.
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
