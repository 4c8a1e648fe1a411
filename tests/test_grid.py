import itertools

import numpy as np
import pytest
import torch
from nibabel.affines import apply_affine
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, ornt_transform
from scipy.spatial.transform import Rotation

from uniseg_nets.transforms.grid import Grid, bounding_box, same_grid

SPACING = (3.0, 1.5, 1.5)


def oriented(codes: str, shape=(8, 9, 10), zooms=(1.0, 1.2, 2.5)):
    """An affine for an array stored in the given orientation."""
    turn = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(codes))
    stored = apply_orientation(np.empty(shape), turn).shape
    return stored, np.diag([*zooms, 1.0]) @ inv_ornt_aff(turn, shape)


ALL = ["".join(codes) for axes in itertools.permutations(["LR", "PA", "IS"]) for codes in itertools.product(*axes)]


@pytest.mark.parametrize("codes", ALL)
def test_every_orientation_comes_to_z_first_and_back(codes):
    shape, affine = oriented(codes)
    grid = Grid(shape, affine, SPACING)
    volume = torch.arange(np.prod(shape)).reshape(shape)
    there = grid.from_file(volume)
    assert torch.equal(grid.to_file(there), volume)
    assert there.shape == (10, 9, 8)  # z, y, x
    assert np.allclose(grid.spacing, (2.5, 1.2, 1.0))
    direction = grid.affine[:3, :3]
    assert (np.abs(direction).argmax(0) == (2, 1, 0)).all() and (direction[(2, 1, 0), (0, 1, 2)] > 0).all()


@pytest.mark.parametrize("codes", ["RAS", "LPS", "SAR", "PIR"])
def test_the_network_s_affine_points_at_the_same_place_in_the_patient(codes):
    shape, affine = oriented(codes)
    grid = Grid(shape, affine, SPACING, (1, 2, 3), (9, 8, 7))
    stored_box = np.array([[1, 2, 3], [9, 8, 7]], float)
    corners_file = apply_affine(grid.stored_affine, stored_box - 0.5)
    corners_net = apply_affine(grid.affine, np.array([[-0.5] * 3, np.array(grid.shape) - 0.5]))
    np.testing.assert_allclose(np.sort(corners_file, 0), np.sort(corners_net, 0), atol=1e-9)


@pytest.mark.parametrize("codes", ALL)
def test_in_acquisition_order_the_slices_come_first_and_the_rest_stays_as_stored(codes):
    shape, affine = oriented(codes, zooms=(1.0, 12.0, 1.2))  # a coronal stack: thick along anterior
    grid = Grid(shape, affine, SPACING, axes="acquisition")
    volume = torch.arange(np.prod(shape)).reshape(shape)
    there = grid.from_file(volume)
    assert torch.equal(grid.to_file(there), volume)
    slices = next(axis for axis, code in enumerate(codes) if code in "AP")
    others = [axis for axis in (2, 1, 0) if axis != slices]
    assert torch.equal(there, volume.permute(slices, *others)) and grid.flips == ()
    assert grid.spacing[0] == 12 and grid.coarse_axis == 0
    first = apply_affine(affine, np.zeros(3))
    voxel = np.linalg.solve(grid.affine[:3, :3], first - grid.affine[:3, 3])
    scale = np.array(grid.shape) / grid.crop_shape
    np.testing.assert_allclose(voxel, scale / 2 - 0.5, atol=1e-9)  # the same corner, edges aligned


@pytest.mark.parametrize(
    ("zooms", "spacing", "order"),
    [
        ((3.0, 1, 1), SPACING, (2, 1, 0)),
        ((3.1, 1, 1), SPACING, (0, 2, 1)),
        ((4, 1, 4), SPACING, (2, 1, 0)),
        ((2, 1, 1), (3.0, 1.0, 1.0), (2, 1, 0)),  # a task of 3 to 1 sees no thick slices yet
        ((2, 1, 1), (3.1, 1.0, 1.0), (0, 2, 1)),
    ],
)
def test_without_one_coarse_axis_acquisition_order_is_that_of_the_file(zooms, spacing, order):
    volume = torch.arange(24).reshape(2, 3, 4)
    grid = Grid((2, 3, 4), np.diag([*zooms, 1.0]), spacing, axes="acquisition")
    assert torch.equal(grid.from_file(volume), volume.permute(order))


def test_an_oblique_scan_goes_to_its_nearest_axes():
    rotation = np.eye(4)
    rotation[:3, :3] = Rotation.from_euler("xyz", (12, -8, 20), degrees=True).as_matrix()
    shape, affine = oriented("LPS")
    grid = Grid(shape, rotation @ affine, SPACING)
    assert np.allclose(grid.spacing, (2.5, 1.2, 1.0), atol=1e-5)
    assert sorted(grid.flips) == [-2, -1]


@pytest.mark.parametrize(
    ("zooms", "axis"),
    [((1, 1, 4), 0), ((1, 4, 1), 1), ((1, 1, 2.9), None), ((1, 1, 3), None), ((1, 1, 3.01), 0), ((1, 4, 4), None)],
)
def test_the_coarse_axis_is_that_of_an_anisotropic_scan(zooms, axis):
    shape, affine = oriented("RAS", zooms=zooms)
    assert Grid(shape, affine, (1.0, 1.0, 1.0)).coarse_axis == axis


def test_of_a_scan_at_3_to_1_the_coarse_axis_is_that_of_the_task():
    shape, affine = oriented("RAS", zooms=(1, 1, 3))
    assert Grid(shape, affine, (1.0, 4.0, 1.0)).coarse_axis == 1


def test_what_is_outside_the_crop_is_background():
    shape, affine = oriented("LPS")
    grid = Grid(shape, affine, SPACING, (2, 2, 2), (5, 5, 5))
    assert grid.to_file(torch.ones(3, 3, 3)).sum() == 27


@pytest.mark.parametrize("affine", [np.zeros((4, 4)), np.full((4, 4), np.nan), np.diag([1.0, 1, 0, 1])])
def test_an_affine_without_volume_is_refused(affine):
    with pytest.raises(ValueError, match="affine without volume"):
        Grid((4, 4, 4), affine, SPACING)


def test_a_size_of_zero_is_refused():
    with pytest.raises(ValueError, match=r"size \(x, y, z\) \(4, 0, 4\)"):
        Grid((4, 0, 4), np.eye(4), SPACING)


@pytest.mark.parametrize(("edge", "same"), [(0.709, False), (0.7001, True), (0.70001, True)])
def test_two_grids_are_one_where_the_last_voxel_lies_at_one_place(edge, same):
    one, other = np.diag([0.7, 0.7, 3, 1]), np.diag([edge, 0.7, 3, 1])
    assert same_grid(one, other, (512, 512, 40)) is same
    assert same_grid(one, other, (4, 4, 4))


@pytest.mark.parametrize(("moved", "same"), [(0.05, True), (0.1, False)])
def test_an_origin_may_be_rounded_but_not_moved(moved, same):
    other = np.diag([0.7, 0.7, 3, 1])
    other[2, 3] = moved
    assert same_grid(np.diag([0.7, 0.7, 3, 1]), other, (512, 512, 40)) is same


def test_bounding_box_of_nothing_is_none():
    assert bounding_box(torch.zeros(3, 3, 3, dtype=torch.bool)) is None
    mask = torch.zeros(5, 6, 7, dtype=torch.bool)
    mask[1, 2, 3] = mask[3, 4, 6] = True
    assert bounding_box(mask) == ((1, 2, 3), (4, 5, 7))
