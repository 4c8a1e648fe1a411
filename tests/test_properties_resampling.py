"""Resampling of any size to any other: there and back, and what may never happen on the way."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from monai.data import MetaTensor

from tests.properties import ORDERS, affines, shapes, spacings
from uniseg_nets.tasks import TaskTable
from uniseg_nets.transforms import LabelMapd, LoadCased, PreprocessCased
from uniseg_nets.transforms.resample import resample_argmax, resample_image, resample_labels

coarse_axes = st.sampled_from((None, 0, 1, 2))


def label_maps(largest, values):
    return shapes(largest).flatmap(lambda size: arrays(np.uint8, size, elements=st.sampled_from(values)))


def one_hot(label, values):
    return torch.stack([label == value for value in values]).float()


@given(label_maps(5, (0, 3, 7, 255)), st.tuples(*[st.sampled_from((1, 3, 5))] * 3), coarse_axes)
def test_finer_by_odd_factors_and_back_every_voxel_keeps_its_value(label, factors, coarse):
    label = torch.from_numpy(label)
    size = tuple(n * factor for n, factor in zip(label.shape, factors))
    middles = tuple(slice(factor // 2, None, factor) for factor in factors)
    assert torch.equal(resample_labels(label, size, coarse)[middles], label)
    values = (0, 3, 7, 255)
    assert torch.equal(resample_argmax(one_hot(label, values), values, size, coarse)[middles], label)
    image = label.float()[None]
    torch.testing.assert_close(resample_image(image, size, coarse)[0][middles], image[0], atol=0.05, rtol=0)


@given(label_maps(7, (0, 1, 2, 9)), shapes(9), coarse_axes)
def test_no_value_comes_up_that_was_not_there(label, size, coarse):
    label = torch.from_numpy(label)
    there = set(label.unique().tolist())
    assert set(resample_labels(label, size, coarse).unique().tolist()) <= there | {0}
    found = resample_argmax(one_hot(label, (0, 1, 2, 9)), (0, 1, 2, 9), size, coarse)
    assert set(found.unique().tolist()) <= there | {0}
    image = resample_image(label.float()[None], size, coarse)
    assert image.shape == (1, *size) and image.min() >= label.min() and image.max() <= label.max()


@given(shapes(7), shapes(9), st.integers(0, 255), coarse_axes)
def test_a_volume_of_one_value_stays_so(old, new, value, coarse):
    label = torch.full(old, value, dtype=torch.uint8)
    assert (resample_labels(label, new, coarse) == value).all()
    assert (resample_argmax(one_hot(label, (0, value)), (0, value), new, coarse) == value).all()
    torch.testing.assert_close(resample_image(label.float()[None], new, coarse), torch.full((1, *new), float(value)))


@given(st.integers(0, 2**32 - 1), shapes(6), shapes(9))
def test_the_best_class_is_that_of_the_whole_volume_interpolated(seed, old, new):
    scores = torch.rand(4, *old, generator=torch.Generator().manual_seed(seed))
    whole = torch.nn.functional.interpolate(scores[None], new, mode="trilinear")[0]
    found = resample_argmax(scores, (0, 1, 2, 3), new).long()
    best = whole.amax(0)
    assert (best - whole.gather(0, found[None])[0]).max() < 1e-5  # where two are equal but for rounding, either


@given(label_maps(6, (0, 1, 2)), affines(), st.sampled_from(ORDERS), spacings())
def test_a_scan_of_any_geometry_gets_a_label_map_of_its_size_and_place(label, affine, axes, spacing):
    entry = {"name": "a", "channels": ["MR"], "spacing": spacing, "classes": ["b", "c"], "axes": axes}
    case = back_and_forth(TaskTable([entry]), label, affine)
    assert tuple(case["pred"].shape) == (1, *label.shape) and np.array_equal(case["pred"].affine, affine)
    assert set(case["pred"].unique().tolist()) <= {0, *np.unique(label).tolist()}


@given(label_maps(6, (0, 1, 2)), affines(), st.sampled_from(ORDERS))
def test_at_the_scan_s_own_spacing_a_perfect_prediction_is_the_reference(label, affine, axes):
    edges = np.linalg.norm(affine[:3, :3], axis=0)
    edge = float(edges.mean())
    affine = affine.copy()
    affine[:3, :3] *= edge / edges  # one spacing for all orders of axes
    entry = {"name": "a", "channels": ["MR"], "spacing": [edge] * 3, "classes": ["b", "c"], "axes": axes}
    assert np.array_equal(back_and_forth(TaskTable([entry]), label, affine)["pred"][0], label)


def back_and_forth(table, label, affine):
    """A label map, and an image that is nowhere 0, through preprocessing, as perfect scores, and back."""
    image = np.random.default_rng(0).uniform(1, 2, label.shape).astype(np.float32)
    case = LoadCased(["image", "label"])({"image": meta(image, affine), "label": meta(label, affine)})
    case = PreprocessCased(["image", "label"], table, "a")(case)
    case["pred"] = one_hot(case["label"][0], (0, 1, 2))
    return LabelMapd("pred", table, "a")(case)


def meta(array, affine):
    return MetaTensor(torch.from_numpy(array), affine=torch.from_numpy(affine))
