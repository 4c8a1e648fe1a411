"""The modality of an image where nobody named it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.transforms import Transform

from uniseg_nets.nets.esp_medsam import ESPMedSAM

__all__ = ["RecogniseModalityd"]


class RecogniseModalityd(Transform):
    """Settles a case's ``modality``: what was asked for, or, for ``auto``, what the image looks like.

    Adds ``asked``, and where the modality was recognised its ``confidence`` (0 to 1).

    Args:
        network: knows the modalities.
        least: confidence below which an image is refused.

    Raises:
        ValueError: a modality that the network does not have, or an image that is not recognised.
    """

    def __init__(self, network: ESPMedSAM, least: float = 0.8) -> None:
        self.network = network
        self.least = least

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        d["asked"] = d["modality"]
        if d["asked"] == "auto":
            d["modality"], d["confidence"] = self.network.recogniser.recognise(d["image"], self.least)
        else:
            self.network.known(d["modality"])
        return d
