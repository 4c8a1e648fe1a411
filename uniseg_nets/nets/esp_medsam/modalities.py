"""The six modalities of the paper, in its order, which is that of the release's decoding channels."""

__all__ = ["MODALITIES"]

MODALITIES = ("dermoscopy", "xray", "ultrasound", "fundus", "microscopy", "colonoscopy")
