"""Weights: reading, checking, conversion, transfer, freezing; the shipped weights and their licence terms."""

from uniseg_nets.io.lazy import lazy_names

_HOMES = {
    "TrainedPart": "freezing",
    "fold_weights": "transfer",
    "initial_terms": "checkpoints",
    "kinds_in": "esp_medsam",
    "load_base": "base",
    "load_finetuned": "transfer",
    "load_network": "checkpoints",
    "load_pretrained": "transfer",
    "load_teacher": "esp_medsam",
    "modalities_in": "esp_medsam",
    "start_from": "esp_medsam",
    "copy_from_teacher": "esp_medsam",
    "trainable": "freezing",
}
__all__ = list(_HOMES)
__getattr__ = lazy_names(__name__, _HOMES)
