"""Batches with modalities for MONAI's engines, and the embeddings that a distillation compares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.engines import PrepareBatch
from monai.inferers import SimpleInferer
from torch import Tensor, nn

from uniseg_nets.io.messages import NOT_FINITE
from uniseg_nets.nets.esp_medsam import ESPMedSAM

__all__ = ["EmbeddingNetwork", "MaskInferer", "PrepareDistillation", "PrepareModalityBatch"]


class PrepareModalityBatch(PrepareBatch):
    """Passes each image's modality to the network.

    A batch has ``image``, optionally ``label``, and ``modality``. The network gets the images and the list of
    modalities; the target is the mask.
    """

    def __call__(
        self, batchdata: Mapping[str, Any], device: Any = None, non_blocking: bool = False, **kwargs: Any
    ) -> tuple[Tensor, Tensor | None, tuple[list[str]], dict[str, Any]]:
        image = batchdata["image"].to(device=device, non_blocking=non_blocking, **kwargs)
        label = batchdata.get("label")
        if label is not None:
            label = label.to(device=device, non_blocking=non_blocking, **kwargs)
        return image, label, (list(batchdata["modality"]),), {}


class PrepareDistillation(PrepareModalityBatch):
    """Like :class:`PrepareModalityBatch`, but the target is the teacher's embedding.

    Args:
        teacher: the teacher, which is frozen and set to evaluation mode.
        common: as for :class:`EmbeddingNetwork`, with the same value for teacher and student.
    """

    def __init__(self, teacher: ESPMedSAM, common: bool = False) -> None:
        self.teacher = teacher.eval().requires_grad_(False)
        self.common = common

    def __call__(self, batchdata: Mapping[str, Any], *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        image, _, (modalities,), _ = super().__call__(batchdata, *args, **kwargs)
        with torch.no_grad():
            embedding = self.teacher.encode(image, None if self.common else modalities)
        return image, embedding, (modalities,), {}


class EmbeddingNetwork(nn.Module):
    """The distilled part of a network: images and their modalities -> embedding.

    Args:
        network: the student. Its other parts are not used.
        common: leave out the modality controllers, so that the encoders alone are compared, as in MMDKD's first stage
            (Xu et al. 2024, arXiv 2407.14153), which distils SAM's own embedding.
    """

    def __init__(self, network: ESPMedSAM, common: bool = False) -> None:
        super().__init__()
        self.network = network
        self.common = common

    def forward(self, image: Tensor, modality: Sequence[str]) -> Tensor:
        return self.network.encode(image, None if self.common else modality)


class MaskInferer(SimpleInferer):
    """Image (1, 3, S, S) and a list with its modality -> probabilities (1, 1, S, S).

    Raises:
        ValueError: if a probability is NaN, which would become background.
    """

    def __call__(  # type: ignore[override]
        self, inputs: Tensor, network: nn.Module, modality: Sequence[str], *args: Any, **kwargs: Any
    ) -> Tensor:
        (name,) = modality
        scores = torch.sigmoid(network(inputs, name).float())
        if scores.isnan().any():
            raise ValueError(NOT_FINITE)
        return scores
