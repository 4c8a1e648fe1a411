"""Results as DICOM objects, for viewers and archives that read only DICOM."""

from uniseg_nets.dicom.save import SaveDicomSegd, SaveDicomSrd, SaveRtStructd

__all__ = ["SaveDicomSegd", "SaveDicomSrd", "SaveRtStructd"]
