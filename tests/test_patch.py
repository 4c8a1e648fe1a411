import numpy as np
import pytest
import torch

from uniseg_nets.tasks import TaskTable
from uniseg_nets.transforms import ForegroundVoxelsd, RandPatchd
from uniseg_nets.transforms.patch import evenly_spread, through_plane_axis

KEYS = ["image", "label"]


def tasks(spacing=(1, 1, 1)):
    return TaskTable([{"name": "t", "channels": ["MR"], "spacing": spacing, "classes": ["a", "b"]}])


def case(label, image=None, forced=False):
    position = torch.arange(label.numel()).reshape(label.shape).float()
    data = {"image": (position if image is None else image)[None], "label": label[None], "task": "t"}
    return ForegroundVoxelsd("label", samples=50)(data) | {"force_foreground": forced}


def patcher(size, **more):
    return RandPatchd(KEYS, size, tasks(more.pop("spacing", (1, 1, 1))), **more).set_random_state(0)


def still(size):
    return patcher(size, rotation_prob=0, zoom_prob=0)


@pytest.fixture
def label():
    volume = torch.zeros(30, 40, 50, dtype=torch.uint8)
    volume[2:20, 5:30, 5:30] = 1
    volume[25, 35, 45] = 2
    return volume


def test_voxels_of_every_class_are_kept_with_their_place(label):
    foreground = case(label)["foreground"]
    assert foreground[:, 0].unique().tolist() == [1, 2] and (foreground[:, 0] == 1).sum() == 50
    assert all(label[tuple(voxel)] == value for value, *voxel in foreground.tolist())


def test_kept_voxels_are_spread_over_the_whole_class(label):
    voxels = case(label)["foreground"]
    z = voxels[voxels[:, 0] == 1, 1]
    assert z.min() == 2 and z.max() == 19 and len(z.unique()) == 18


@pytest.mark.parametrize("total", [7, 2**24 + 2, 2**31 + 2])
def test_indices_end_at_the_last_voxel_of_however_many(total):
    found = evenly_spread(total, 7)
    assert found[0] == 0 and found[-1] == total - 1 and len(found.unique()) == 7


def test_forced_patches_hold_foreground_and_rare_classes_come_as_often(label):
    take = still((8, 8, 8))
    seen = [take(case(label, forced=True))["label"].unique().tolist() for _ in range(100)]
    assert all(max(values) > 0 for values in seen)
    assert 30 < sum(2 in values for values in seen) < 70


def test_patches_that_are_not_forced_lie_anywhere():
    tiny = torch.zeros(64, 64, 64, dtype=torch.uint8)
    tiny[32, 32, 32] = 1
    take = still((8, 8, 8))
    assert sum(bool(take(case(tiny))["label"].any()) for _ in range(100)) < 5


def test_image_and_label_are_cut_alike(label):
    patch = still((8, 16, 16))(case(label, forced=True))
    assert patch["image"].shape == patch["label"].shape == (1, 8, 16, 16)
    assert torch.equal(label.flatten()[patch["image"].long()], patch["label"])
    assert set(patch) == {"image", "label", "task"}


def test_a_case_without_foreground_gives_patches_from_anywhere():
    take = still((8, 8, 8))
    starts = {float(take(case(torch.zeros(20, 20, 20), forced=True))["image"].min()) for _ in range(20)}
    assert len(starts) > 10


def test_a_volume_of_the_patch_s_size_is_its_own_patch(label):
    assert torch.equal(still(label.shape)(case(label))["label"][0], label)


def ramp(size, axis):
    """A volume whose value is the position along an axis."""
    shape = [1, 1, 1]
    shape[axis] = -1
    return torch.arange(float(size[axis])).reshape(shape).expand(size).clone()


@pytest.mark.parametrize("axis", range(3))
def test_a_turned_patch_shows_the_turned_volume_without_a_gap(axis):
    size = (48, 48, 48)
    image = ramp(size, axis) + 1
    take = patcher((16, 16, 16), rotation_prob=1, zoom_prob=1)
    for _ in range(10):
        patch = take(case(torch.ones(size, dtype=torch.uint8), image))["image"][0]
        # A turned ramp is a ramp whose slope is the row of the matrix, wherever the patch sees the volume.
        steps = np.stack(np.meshgrid(*[np.arange(16) - 7.5] * 3, indexing="ij"), -1)
        places = take.start + 7.5 + steps @ take.matrix.T
        inside = ((places >= 0) & (places <= 47)).all(axis=-1)
        assert inside.mean() > 0.6
        np.testing.assert_allclose(patch.numpy()[inside], places[inside][:, axis] + 1, atol=1e-3)


def test_the_label_turns_with_the_image():
    label = torch.zeros(48, 48, 48, dtype=torch.uint8)
    label[20:28, 14:34, 22:26] = 2
    take = patcher((32, 32, 32), rotation_prob=1, zoom_prob=1)
    for _ in range(10):
        patch = take(case(label, label.float(), forced=True))
        assert patch["label"].dtype == torch.uint8
        assert ((patch["image"] > 1) == (patch["label"] == 2)).float().mean() > 0.995


def test_beyond_the_volume_image_and_label_are_0():
    label = torch.ones(16, 16, 16, dtype=torch.uint8)
    patch = patcher((16, 16, 16), rotation_prob=1)(case(label, torch.full((16, 16, 16), 5.0)))
    outside = patch["label"] == 0
    assert 0 < float(outside.float().mean()) < 0.6
    assert (patch["image"][outside] <= 2.5001).all() and (patch["image"][~outside] >= 2.4999).all()  # half a voxel out
    assert patch["image"][outside].min() == 0


@pytest.mark.parametrize(
    ("size", "spacing", "axis"),
    [
        ((16, 64, 64), (1, 1, 1), 0),
        ((32, 96, 96), (1, 1, 1), None),  # 3 to 1 is not flat
        ((32, 32, 32), (8, 1.5, 1.5), 0),
        ((32, 32, 32), (1.5, 8, 1.5), 1),
        ((32, 32, 32), (3, 1, 1), None),
    ],
)
def test_flat_patches_and_thick_slices_are_turned_in_their_plane_alone(size, spacing, axis):
    assert through_plane_axis(np.array(size), tasks(spacing).tasks[0]) == axis
    take = patcher(
        (8, 8, 8) if axis != 0 or spacing[0] != 1 else (4, 16, 16), spacing=spacing, rotation_prob=1, zoom_prob=1
    )
    take(case(torch.zeros(20, 20, 20)))
    assert not np.array_equal(take.matrix, np.eye(3))
    if axis is not None:
        assert take.matrix[axis, axis] == 1
        assert np.count_nonzero(take.matrix[axis]) == np.count_nonzero(take.matrix[:, axis]) == 1


def test_the_probabilities_of_rotation_and_zoom_are_those_asked_for():
    take = patcher((8, 8, 8), rotation_prob=0.2, zoom_prob=0.2)
    data = case(torch.zeros(20, 20, 20))
    still_ones = 0
    extents = []
    for _ in range(1000):
        take.randomize(data)
        extent = np.linalg.norm(take.matrix, axis=0)
        still_ones += np.array_equal(take.matrix, np.eye(3))
        extents.append(extent[0])
    assert still_ones == pytest.approx(640, abs=50)
    assert 0.7 <= min(extents) < 0.75 and 1.35 < max(extents) <= 1.4
    assert np.mean(np.array(extents) < 0.999) == pytest.approx(0.1, abs=0.03)
