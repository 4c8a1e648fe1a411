"""Scans of any size, orientation, spacing and shear: to the network's grid and back."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nibabel.affines import apply_affine

from tests.properties import ORDERS, affines, shapes, spacings
from uniseg_nets.transforms.grid import Grid, flipped, on_grid_of, same_grid


@st.composite
def grids(draw):
    """Grids of scans, cropped or not."""
    shape, affine = draw(shapes(7)), draw(affines())
    axes, spacing = draw(st.sampled_from(ORDERS)), draw(spacings())
    whole = Grid(shape, affine, spacing, axes=axes)
    if draw(st.booleans()):
        return whole
    edges = [sorted(draw(st.lists(st.integers(0, n), min_size=2, max_size=2, unique=True))) for n in whole.stored_shape]
    return Grid(shape, affine, spacing, *map(tuple, zip(*edges)), axes=axes)


@st.composite
def scans_stored_otherwise(draw):
    """A volume and its affine, and both again with the axes in another order and direction."""
    shape, affine = draw(shapes(6)), draw(affines())
    order, backwards = draw(st.permutations(range(3))), draw(st.lists(st.booleans(), min_size=3, max_size=3))
    volume = torch.arange(np.prod(shape)).reshape(shape)
    stored, moved = volume.permute(order), affine[:, [*order, 3]].copy()
    for axis in np.flatnonzero(backwards):
        stored = stored.flip(int(axis))
        moved[:, 3] += moved[:, axis] * (stored.shape[axis] - 1)
        moved[:, axis] *= -1
    return volume, affine, stored, moved


@given(grids())
def test_what_comes_from_the_file_goes_back_to_its_voxels(grid):
    volume = torch.arange(1, 1 + np.prod(grid.file_shape)).reshape(grid.file_shape)
    stored = grid.from_file(volume)
    assert tuple(stored.shape) == grid.stored_shape
    back = grid.to_file(stored[grid.box])
    inside = back > 0
    assert torch.equal(back[inside], volume[inside]) and inside.sum() == np.prod(grid.crop_shape)


@given(grids())
def test_the_network_s_volume_fills_the_crop_s_corners_in_the_patient(grid):
    start = np.array(grid.start or (0, 0, 0)) - 0.5
    unit = np.array(list(itertools.product((0, 1), repeat=3)))
    stored = apply_affine(grid.stored_affine, start + unit * grid.crop_shape)
    seen = apply_affine(grid.affine, unit * grid.shape - 0.5)
    turned = unit.copy()
    for axis in grid.flips:
        turned[:, axis] = 1 - turned[:, axis]
    order = [int(np.flatnonzero((unit == corner).all(axis=1))[0]) for corner in turned]
    np.testing.assert_allclose(seen, stored[order], atol=1e-6)


@given(scans_stored_otherwise(), spacings())
def test_the_network_sees_a_scan_alike_however_its_axes_are_stored(scan, spacing):
    volume, affine, stored, moved = scan
    seen = []
    for one, its in ((volume, affine), (stored, moved)):
        grid = Grid(tuple(one.shape), its, spacing)
        seen.append((flipped(grid.from_file(one), grid.flips), grid.affine))
    assert torch.equal(seen[0][0], seen[1][0])
    np.testing.assert_allclose(seen[0][1], seen[1][1], atol=1e-6)


@given(scans_stored_otherwise())
def test_a_volume_that_is_stored_otherwise_is_the_same_volume(scan):
    volume, affine, stored, moved = scan
    assert torch.equal(on_grid_of(stored, moved, volume.shape, affine), volume)


@given(shapes(40), affines(), st.integers(0, 2), st.sampled_from((0.02, 0.2, 1.0, 30.0)))
def test_a_grid_that_is_moved_is_another_one_by_the_distance_alone(shape, affine, axis, share):
    shortest = np.linalg.norm(affine[:3, :3], axis=0).min()
    moved = affine.copy()
    moved[axis, 3] += share * shortest
    assert same_grid(affine, affine, shape)
    assert same_grid(moved, affine, shape) is same_grid(affine, moved, shape) is (share < 0.1)


@given(shapes(6), affines(), st.integers(0, 2))
def test_a_volume_that_lies_elsewhere_is_refused(shape, affine, axis):
    moved = affine.copy()
    moved[:3, 3] += moved[:3, axis] * 0.5
    with pytest.raises(ValueError, match="lies on another grid"):
        on_grid_of(torch.zeros(shape), moved, shape, affine)
