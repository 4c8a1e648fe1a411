"""How good the open 2D weights are: their data, metrics per modality, two layouts, recognition, a picture.

The model card, ``bundles/esp_medsam_2d/docs/open_weights.md``, has the commands in order.
"""
