"""ESP-MedSAM: a light SAM for 2D images that prompts itself, one small controller per modality."""

from uniseg_nets.nets.esp_medsam.model import ESPMedSAM, ESPMedSAMSizes
from uniseg_nets.nets.esp_medsam.sam import SAMEncoder

__all__ = ["ESPMedSAM", "ESPMedSAMSizes", "SAMEncoder"]
