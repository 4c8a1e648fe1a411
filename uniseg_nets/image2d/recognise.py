"""Recognises the modality of an image that is not given."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.transforms import Transform

from uniseg_nets.nets.esp_medsam import ESPMedSAM

__all__ = ["RecogniseModalityd"]


class RecogniseModalityd(Transform):
    """Sets a case's ``modality``: the requested one or, for ``auto``, the recognised one.

    Adds ``requested_modality`` and, if the modality was recognised, its ``confidence`` (0 to 1).

    Args:
        network: network with the modalities and the recogniser.
        min_confidence: minimum confidence; below it the image is refused.

    Raises:
        ValueError: if the network does not have the modality, or the image is not recognised.
    """

    def __init__(self, network: ESPMedSAM, min_confidence: float = 0.8) -> None:
        self.network = network
        self.min_confidence = min_confidence

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        d["requested_modality"] = d["modality"]
        if d["requested_modality"] == "auto":
            d["modality"], d["confidence"] = self.network.recogniser.recognise(d["image"], self.min_confidence)
        else:
            self.network.known(d["modality"])
        return d
