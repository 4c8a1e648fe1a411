"""Attributes of every DICOM object of this package: its maker, its label map and the verdict."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import highdicom as hd
from pydicom.sr.codedict import codes

from uniseg_nets.io.provenance import MANUFACTURER
from uniseg_nets.version import __version__

__all__ = ["EQUIPMENT", "contribution", "series_description"]

# The equipment, as arguments of highdicom's classes.
EQUIPMENT: dict[str, Any] = {
    "manufacturer": MANUFACTURER,
    "manufacturer_model_name": "uniseg-nets",
    "software_versions": __version__,
}
_LONGEST = 64  # characters of a SeriesDescription


def series_description(verdict: str, classes: Iterable[str], what: str = "") -> str:
    """The SeriesDescription of an object: ``UniSeg (check), volumes: liver, spleen``.

    Args:
        verdict: verdict on the case; empty for none.
        classes: classes in the object.
        what: content of the object, such as ``volumes``; empty for segments and outlines.
    """
    suffix = f" ({verdict})" if verdict else ""
    return f"UniSeg{suffix}{what and f', {what}'}: {', '.join(classes)}"[:_LONGEST]


def contribution(mark: str) -> hd.ContributingEquipment:
    """This package as the equipment that made an object.

    Args:
        mark: identifies the label map, see :func:`~uniseg_nets.io.provenance.dicom_mark`; empty for none.
    """
    return hd.ContributingEquipment(
        **EQUIPMENT,
        purpose_of_reference=codes.DCM.ProcessingEquipment,
        contribution_description=mark or None,
    )
