import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from uniseg_nets.reports.surfaces import surface_distances


def square(first, shape=(30, 30), size=10):
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(slice(start, start + size) for start in first)] = True
    return mask


def blobs(rng, shape):
    smooth = rng.uniform(0, 2.5)
    return [gaussian_filter(rng.normal(size=shape), smooth) > 0.02 for _ in range(2)]


@pytest.mark.parametrize("flat", [0, 1, 2])
@pytest.mark.parametrize("thickness", [0.1, 5.0])
def test_a_single_slice_is_measured_in_its_plane_however_thick_it_is(flat, thickness):
    masks = [np.expand_dims(square(first), flat) for first in ((5, 5), (9, 5))]
    found = surface_distances(*masks, np.insert([2.0, 1.0], flat, thickness))
    assert found.hausdorff(0.95) == 8
    assert found.surface_dice(1) < 0.7  # with the slab's faces, which both have, it would be more
    assert sum(found.areas[0]) == pytest.approx(4 + 2 * 9 * (2 + 1), rel=0.05)  # the outline in mm


def test_the_larger_of_both_directions_counts_and_a_share_of_the_area_is_left_out():
    cube, far = np.zeros((2, 20, 20, 20), dtype=bool)
    cube[2:12, 2:12, 2:12] = True
    far[2:12, 2:12, 2:12] = far[18, 18, 18] = True  # one voxel astray, less than 5 % of the surface
    found = surface_distances(cube, far, (1, 1, 1))
    assert found.hausdorff(0.95) == 0 and found.hausdorff(1) > 9
    assert found.hausdorff(1) == surface_distances(far, cube, (1, 1, 1)).hausdorff(1)


def test_distances_on_a_sheared_grid_are_those_in_the_patient():
    edges = np.array([[1.0, 0, 0], [0, 1, 1], [0, 0, 2]])  # slices 2 mm apart, each 1 mm further along y
    low, high = (square(first, (20, 20, 20), size=3) for first in ((3, 8, 4), (3, 4, 8)))
    assert surface_distances(low, high, edges).hausdorff(1) == pytest.approx(8)  # straight above
    assert surface_distances(low, high, (1, 1, np.sqrt(5))).hausdorff(1) == pytest.approx(np.hypot(4, 4 * np.sqrt(5)))


@pytest.mark.parametrize("shape", [(18, 20, 15), (40, 33)])
def test_random_masks_have_the_distances_of_the_package_surface_distance(shape):
    peer = pytest.importorskip("surface_distance", reason="the peer: pip install surface-distance")
    rng = np.random.default_rng(0)
    for number in range(10):
        ours, theirs = blobs(rng, shape)
        spacing = rng.uniform(0.4, 4, len(shape))
        known = peer.compute_surface_distances(ours, theirs, spacing)
        if len(shape) == 2:
            flat = number % 3
            ours, theirs = (np.expand_dims(mask, flat) for mask in (ours, theirs))
            spacing = np.insert(spacing, flat, 5.0)
        found = surface_distances(ours, theirs, spacing)
        assert found.hausdorff(0.95) == pytest.approx(peer.compute_robust_hausdorff(known, 95))
        for tolerance in (0.5, 2.0):
            expected = peer.compute_surface_dice_at_tolerance(known, tolerance)
            assert found.surface_dice(tolerance) == pytest.approx(expected)
