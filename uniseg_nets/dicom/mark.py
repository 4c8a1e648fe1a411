"""What every DICOM object of this package says of itself: who made it, of which label map, with which verdict."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import highdicom as hd
from pydicom.sr.codedict import codes

from uniseg_nets.io.provenance import MANUFACTURER
from uniseg_nets.version import __version__

__all__ = ["EQUIPMENT", "contribution", "series_description"]

# What made the object, as highdicom's classes take it.
EQUIPMENT: dict[str, Any] = {
    "manufacturer": MANUFACTURER,
    "manufacturer_model_name": "uniseg-nets",
    "software_versions": __version__,
}
_LONGEST = 64  # characters of a SeriesDescription


def series_description(verdict: str, classes: Iterable[str], what: str = "") -> str:
    """The SeriesDescription of an object: ``UniSeg (check), volumes: liver, spleen``.

    Args:
        verdict: on the case; empty for none.
        classes: that the object holds.
        what: it holds of them.
    """
    suffix = f" ({verdict})" if verdict else ""
    return f"UniSeg{suffix}{what and f', {what}'}: {', '.join(classes)}"[:_LONGEST]


def contribution(mark: str) -> hd.ContributingEquipment:
    """This package as equipment that made an object, with the label map's mark, see
    :func:`~uniseg_nets.io.provenance.dicom_mark`.
    """
    return hd.ContributingEquipment(
        **EQUIPMENT,
        purpose_of_reference=codes.DCM.ProcessingEquipment,
        contribution_description=mark or None,
    )
