"""ESP-MedSAM: a light SAM for 2D images that prompts itself, one small controller per modality."""

from uniseg_nets.nets.esp_medsam.model import ESPMedSAM, ESPMedSAMSizes
from uniseg_nets.nets.esp_medsam.sam import SAMEncoder
from uniseg_nets.renamed import renamed_names

__all__ = ["ESPMedSAM", "ESPMedSAMSizes", "SAMEncoder"]

_MOVED = {
    "load_teacher": "weights.load_teacher",
    "modalities_in": "weights.modalities_in",
    "start_from": "weights.start_from",
    "take_over": "weights.copy_from_teacher",
}
__getattr__ = renamed_names(__name__, _MOVED)
