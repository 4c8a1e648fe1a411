"""The intensity windows of a viewer: the intensities that are shown as black and as white."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["window_presets"]

# Hounsfield units.
_CT = {"soft tissue": (-160, 240), "liver": (15, 165), "lung": (-1350, 150), "bone": (-500, 1300)}
# Percentiles of the scan, for modalities whose intensities have no unit.
_OTHERS = {"usual": (1, 99.5), "full range": (0, 100), "dark tissue": (1, 80), "bright tissue": (40, 99.9)}


def window_presets(image: NDArray[Any], modality: str | None) -> list[dict[str, Any]]:
    """Windows with ``name``, ``low`` and ``high`` in the unit of the scan; the first one is shown at first.

    Args:
        image: intensities.
        modality: as tasks name it, such as ``CT``.
    """
    if modality == "CT":
        limits = list(_CT.values())
        names = list(_CT)
    else:
        limits = np.percentile(image, list(_OTHERS.values())).tolist()
        names = list(_OTHERS)
    return [{"name": name, "low": low, "high": high} for name, (low, high) in zip(names, limits)]
