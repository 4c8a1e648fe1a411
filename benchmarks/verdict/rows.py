"""Measurements of a case as a line of JSON, without voxels and names of patients, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from uniseg_nets.quality.before import ScanProperties
from uniseg_nets.quality.cases import Measured

__all__ = ["as_json", "measured_of", "properties_as_json", "properties_of"]


def properties_as_json(properties: ScanProperties) -> dict[str, Any]:
    """The measurements of a scan, which :func:`properties_of` reads."""
    return {
        "spacing": list(properties.spacing),
        "extent": list(properties.extent),
        "quantiles": np.round(properties.quantiles, 4).tolist(),
    }


def properties_of(row: Mapping[str, Any]) -> ScanProperties:
    """The measurements of a row's scan."""
    return ScanProperties(tuple(row["spacing"]), tuple(row["extent"]), np.asarray(row["quantiles"]))


def as_json(measured: Measured) -> dict[str, Any]:
    """A measured case, which :func:`measured_of` reads."""
    return {
        "dice": measured.dice,
        "seconds": round(measured.seconds, 3),
        **properties_as_json(measured.properties),
        "numbers": measured.measures,
    }


def measured_of(row: Mapping[str, Any]) -> Measured:
    """The measured case of a row."""
    return Measured(properties_of(row), dict(row["numbers"]), row["dice"], row["seconds"])
