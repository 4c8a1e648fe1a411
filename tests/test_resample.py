import numpy as np
import pytest
import torch
from scipy import ndimage

from uniseg_nets.transforms.resample import argmax_values, resample_argmax, resample_image, resample_labels


def test_the_same_size_changes_nothing():
    image = torch.randn(2, 5, 6, 7)
    assert resample_image(image, (5, 6, 7)) is image


@pytest.mark.parametrize("size", [(9, 7, 8), (4, 12, 5), (12, 12, 12)])
def test_images_follow_scipy_s_cubic_spline(size):
    image = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((8, 9, 10)), 1)
    zoom = np.divide(size, image.shape)
    expected = ndimage.zoom(image, zoom, order=3, mode="nearest", grid_mode=True)
    expected = np.clip(expected, image.min(), image.max())
    found = resample_image(torch.from_numpy(image).float()[None], size)[0]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_linear_ramp_keeps_its_slope_with_edges_aligned():
    ramp = torch.arange(12.0).reshape(1, 12, 1, 1).expand(1, 12, 4, 4)
    found = resample_image(ramp, (6, 4, 4))[0, 2:4, 0, 0]  # away from the ends
    torch.testing.assert_close(found, torch.tensor([4.5, 6.5]), atol=0.05, rtol=0)


def test_the_coarse_axis_takes_the_nearest_slice():
    image = torch.randn(1, 4, 6, 6)
    found = resample_image(image, (8, 6, 6), coarse_axis=0)
    torch.testing.assert_close(found, image.repeat_interleave(2, dim=1))


def test_values_stay_in_the_input_s_range():
    step = torch.zeros(1, 16, 16, 16)
    step[:, 8:] = 1
    found = resample_image(step, (25, 16, 16))
    assert found.min() >= 0 and found.max() <= 1


def test_labels_keep_their_values_and_volume():
    label = torch.zeros(10, 20, 20, dtype=torch.uint8)
    label[2:8, 4:16, 4:16] = 3
    label[4:6, 8:12, 8:12] = 7
    found = resample_labels(label, (20, 40, 40))
    assert found.dtype == torch.uint8 and found.unique().tolist() == [0, 3, 7]
    for value in (3, 7):
        assert (found == value).sum() == pytest.approx(8 * int((label == value).sum()), rel=0.25)


@pytest.mark.parametrize("coarse_axis", [None, 0, 1, 2])
def test_argmax_equals_the_argmax_of_whole_volumes(coarse_axis):
    scores = torch.rand(3, 6, 7, 8)
    size = (20, 15, 9)
    found = resample_argmax(scores, (0, 1, 2), size, coarse_axis)
    if coarse_axis is None:
        expected = torch.nn.functional.interpolate(scores[None], size, mode="trilinear")[0].argmax(0)
        assert (found == expected).float().mean() > 0.999
    assert found.shape == size and found.dtype == torch.uint8 and found.unique().tolist() == [0, 1, 2]


def test_where_scores_are_equal_the_first_class_counts():
    scores = torch.zeros(3, 2, 3, 4)
    scores[1:, 0] = 1  # a tie of the two classes; in the other slice one of all three
    for size in ((2, 3, 4), (4, 6, 8)):
        found = resample_argmax(scores, (0, 5, 9), size)
        assert found[0].unique() == 5 and found[-1].unique() == 0
    assert argmax_values(scores, (0, 5, 9))[:, 0, 0].tolist() == [5, 0]


def test_argmax_of_a_small_organ_is_that_of_the_whole_volume():
    scores = torch.zeros(3, 12, 20, 22)
    scores[0] = 1
    scores[:, 3:7, 8:15, 0:5] = torch.rand(3, 4, 7, 5, generator=torch.Generator().manual_seed(0))
    size = (30, 33, 41)
    expected = torch.nn.functional.interpolate(scores[None], size, mode="trilinear")[0].argmax(0)
    found = resample_argmax(scores, (0, 1, 2), size)
    assert torch.equal(found, expected) and found.unique().tolist() == [0, 1, 2]
    assert torch.equal(resample_argmax(scores, (0, 5, 17), size), torch.tensor([0, 5, 17])[expected])
    assert not resample_argmax(scores[:, :, :8], (0, 1, 2), size).any()


def test_masks_of_a_merged_map_without_background_keep_their_values():
    masks = torch.zeros(2, 4, 6, 6, dtype=torch.bool)
    masks[0, :, :3], masks[1, :, 3:] = True, True
    for size in ((4, 6, 6), (8, 12, 12)):
        found = resample_argmax(masks, (3, 9), size)
        assert found[:, : size[1] // 2].unique().tolist() == [3] and found[:, size[1] // 2 :].unique().tolist() == [9]


def test_a_nearest_slice_that_is_left_out_takes_its_foreground_along():
    scores = torch.zeros(2, 9, 6, 6)
    scores[0], scores[1, 0] = 0.5, 1
    assert not resample_argmax(scores, (0, 1), (3, 12, 12), coarse_axis=0).any()
