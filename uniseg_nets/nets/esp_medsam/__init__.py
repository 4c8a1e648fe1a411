"""ESP-MedSAM: a light SAM for 2D images that prompts itself, one small controller per modality."""

from uniseg_nets.nets.esp_medsam.model import ESPMedSAM, ESPMedSAMSizes
from uniseg_nets.nets.esp_medsam.release_weights import convert_release, load_release
from uniseg_nets.nets.esp_medsam.sam import SAMEncoder
from uniseg_nets.nets.esp_medsam.weights import (
    load_mobile_sam,
    load_sam_transformer,
    load_teacher,
    modalities_in,
    start_from,
    take_over,
)

__all__ = [
    "ESPMedSAM",
    "ESPMedSAMSizes",
    "SAMEncoder",
    "convert_release",
    "load_mobile_sam",
    "load_release",
    "load_sam_transformer",
    "load_teacher",
    "modalities_in",
    "start_from",
    "take_over",
]
