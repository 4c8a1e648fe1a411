import pytest
import torch

from uniseg_nets.transforms import ForegroundVoxelsd, RandForegroundCropd


def case(label):
    position = torch.arange(label.numel()).reshape(label.shape).float()
    return ForegroundVoxelsd("label", samples=50)({"image": position[None], "label": label[None]})


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


def test_forced_patches_hold_foreground_and_rare_classes_come_as_often(label):
    crop = RandForegroundCropd(["image", "label"], (8, 8, 8), foreground_share=1).set_random_state(0)
    seen = [crop(case(label))["label"].unique().tolist() for _ in range(100)]
    assert all(max(values) > 0 for values in seen)
    assert 30 < sum(2 in values for values in seen) < 70


def test_the_share_of_forced_patches_is_the_one_asked_for():
    tiny = torch.zeros(64, 64, 64, dtype=torch.uint8)
    tiny[32, 32, 32] = 1
    crop = RandForegroundCropd(["image", "label"], (8, 8, 8), foreground_share=1 / 3).set_random_state(0)
    data = case(tiny)
    hits = sum(bool(crop(data)["label"].any()) for _ in range(300))
    assert hits == pytest.approx(100, abs=25)


def test_image_and_label_are_cut_alike(label):
    patch = RandForegroundCropd(["image", "label"], (8, 16, 16)).set_random_state(0)(case(label))
    assert patch["image"].shape == patch["label"].shape == (1, 8, 16, 16)
    flat = label.flatten()
    assert torch.equal(flat[patch["image"].long()], patch["label"])


def test_a_case_without_foreground_gives_patches_from_anywhere():
    crop = RandForegroundCropd(["image", "label"], (8, 8, 8), foreground_share=1).set_random_state(0)
    starts = {float(crop(case(torch.zeros(20, 20, 20)))["image"].min()) for _ in range(20)}
    assert len(starts) > 10


def test_a_volume_of_the_patch_s_size_is_its_own_patch(label):
    patch = RandForegroundCropd(["image", "label"], label.shape)(case(label))
    assert torch.equal(patch["label"][0], label)
