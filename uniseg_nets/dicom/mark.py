"""What an object without a description of its content says of the label map that it was made of."""

from __future__ import annotations

import highdicom as hd
from pydicom.sr.codedict import codes

from uniseg_nets.io.provenance import MANUFACTURER
from uniseg_nets.version import __version__

__all__ = ["contribution"]


def contribution(mark: str) -> hd.ContributingEquipment:
    """This package as equipment that made an object, with the label map's mark, see
    :func:`~uniseg_nets.io.provenance.dicom_mark`.
    """
    return hd.ContributingEquipment(
        manufacturer=MANUFACTURER,
        purpose_of_reference=codes.DCM.ProcessingEquipment,
        manufacturer_model_name="uniseg-nets",
        software_versions=__version__,
        contribution_description=mark or None,
    )
