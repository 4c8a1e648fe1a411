"""Distances between the surfaces of two masks, in 3D or, for a single slice, in its plane.

Surface elements and their areas are MONAI's (``get_mask_edges``). MONAI's metrics lack three things: a Hausdorff
percentile by area, distances in the plane of a single slice, and sheared grids.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from monai.metrics.utils import get_mask_edges
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import find_objects
from scipy.spatial import KDTree

from uniseg_nets.transforms.grid import voxel_edges

__all__ = ["SurfaceDistances", "surface_distances"]


@dataclass(frozen=True)
class SurfaceDistances:
    """Distances of the elements of each surface from the other surface (Nikolov et al., JMIR 2021).

    Attributes:
        distances: distances of the elements of both surfaces in mm.
        areas: areas of the same elements in mm2; in the plane their lengths in mm.
    """

    distances: tuple[NDArray[np.float64], NDArray[np.float64]]
    areas: tuple[NDArray[np.float64], NDArray[np.float64]]

    def surface_dice(self, tolerance_mm: float) -> float:
        """The fraction of both surfaces, by area, within the tolerance of the other one."""
        near = sum(areas[lengths <= tolerance_mm].sum() for lengths, areas in zip(self.distances, self.areas))
        return float(near / sum(areas.sum() for areas in self.areas))

    def hausdorff(self, share: float) -> float:
        """The Hausdorff percentile in mm: a fraction ``share`` of each surface, by area, is closer than this."""
        return max(_percentile(lengths, areas, share) for lengths, areas in zip(self.distances, self.areas))


def surface_distances(ours: NDArray[np.bool_], theirs: NDArray[np.bool_], spacing: ArrayLike) -> SurfaceDistances:
    """The distances between the surfaces of two masks. A mask is closed at the border of the scan.

    Args:
        ours, theirs: (x, y, z), each with a true voxel.
        spacing: (x, y, z) mm; or (3, 3), whose columns are the voxel edges in mm.
    """
    edges = voxel_edges(spacing)
    if 1 in ours.shape:
        flat = ours.shape.index(1)
        ours, theirs, edges = ours.squeeze(flat), theirs.squeeze(flat), np.delete(edges, flat, axis=1)
    (box,) = find_objects((ours | theirs).astype(np.uint8))
    masks = [torch.from_numpy(np.pad(mask[box], 1)) for mask in (ours, theirs)]
    lengths = np.linalg.norm(edges, axis=0).tolist()
    first, second, *areas = (part.numpy() for part in get_mask_edges(masks[0], masks[1], crop=False, spacing=lengths))
    points = [np.argwhere(surface) @ edges.T for surface in (first, second)]
    distances = [KDTree(other).query(own)[0] for own, other in (points, points[::-1])]
    weights = [area[surface].astype(np.float64) for area, surface in zip(areas, (first, second))]
    return SurfaceDistances((distances[0], distances[1]), (weights[0], weights[1]))


def _percentile(distances: NDArray[np.float64], areas: NDArray[np.float64], share: float) -> float:
    order = np.argsort(distances)
    reached = np.cumsum(areas[order]) / areas.sum()
    return float(distances[order][min(int(np.searchsorted(reached, share)), len(order) - 1)])
