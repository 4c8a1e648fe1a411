"""Copies: scans with the same voxels under several names, which no split may part."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["originals", "voxel_digest"]

Scan = TypeVar("Scan", bound=Hashable)


def voxel_digest(channels: NDArray[np.float32]) -> str:
    """Hash of a scan's voxels (C, z, y, x), equal for copies whatever their names, headers and compression."""
    return hashlib.sha256(np.ascontiguousarray(channels).data).hexdigest()


def originals(digests: Mapping[Scan, str]) -> dict[Scan, Scan]:
    """Each scan -> the first one with its digest, which is itself if it is no copy of an earlier one."""
    first: dict[str, Scan] = {}
    return {scan: first.setdefault(digest, scan) for scan, digest in digests.items()}
