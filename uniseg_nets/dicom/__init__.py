"""Results as DICOM objects, for viewers and archives that take nothing else."""

from uniseg_nets.dicom.handler import DicomSegmentations

__all__ = ["DicomSegmentations"]
