"""The six modalities of the paper, in the order of the release's decoding channels."""

__all__ = ["MODALITIES"]

MODALITIES = ("dermoscopy", "xray", "ultrasound", "fundus", "microscopy", "colonoscopy")
