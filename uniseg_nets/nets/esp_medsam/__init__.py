"""ESP-MedSAM: a light SAM for 2D images that prompts itself, one small controller a modality."""

from uniseg_nets.nets.esp_medsam.model import ESPMedSAM, ESPMedSAMSizes

__all__ = ["ESPMedSAM", "ESPMedSAMSizes"]
