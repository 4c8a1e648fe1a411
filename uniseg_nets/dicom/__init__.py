"""Results as DICOM objects, for viewers and archives that read only DICOM."""

from uniseg_nets.dicom.save import SaveDicomSegd

__all__ = ["SaveDicomSegd"]
