"""What a scan says of itself before any work is done."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.utils.enums import MetaKeys

from uniseg_nets.phantom import make_phantom
from uniseg_nets.quality.before import geometry_faults, known_faults, scan_properties


def scan(image, spacing=(1.0, 1.0, 1.0)):
    """A loaded scan (C, x, y, z)."""
    affine = torch.diag(torch.tensor([*spacing, 1.0], dtype=torch.float64))
    loaded = MetaTensor(torch.as_tensor(image).float(), affine=affine)
    loaded.meta[MetaKeys.ORIGINAL_AFFINE] = affine
    return loaded


def phantom(table, name):
    made = make_phantom(table.one(name), seed=3)
    loaded = scan(made.image)
    loaded.meta[MetaKeys.ORIGINAL_AFFINE] = torch.as_tensor(made.affine)
    return loaded


def sentences(loaded, task):
    return [reason.text for reason in known_faults(scan_properties(loaded, task), task)]


@pytest.mark.parametrize("name", ["liver", "prostate", "brain_tumour", "whole_body_tumour"])
def test_a_scan_of_its_own_task_gives_no_reason(table, name):
    loaded = phantom(table, name)
    assert geometry_faults(loaded) == [] and sentences(loaded, table.one(name)) == []


@pytest.mark.parametrize("spacing", [(1, 1, 0), (1, 1, 1e-5), (1, 900, 1), (1, 1, float("nan"))])
def test_voxels_without_a_size_or_of_an_absurd_one_are_refused(spacing):
    (reason,) = geometry_faults(scan(np.ones((1, 4, 4, 4)), spacing))
    assert reason.refused and ("how large its voxels are" in reason.text or "no scanner makes" in reason.text)


def test_usual_voxels_of_any_scanner_pass():
    for spacing in ((0.05, 0.05, 0.05), (0.7, 0.7, 5), (4, 4, 4), (1, 1, -2)):
        assert geometry_faults(scan(np.ones((1, 4, 4, 4)), spacing)) == []


def test_an_mr_given_as_ct_and_a_ct_given_as_mr_are_noticed(table):
    (text,) = sentences(phantom(table, "prostate"), table.one("liver"))
    assert "no CT, or its scale was lost" in text
    (text,) = sentences(phantom(table, "liver"), table.one("prostate"))
    assert "as a CT does" in text


def test_a_ct_cut_to_soft_tissue_is_still_noticed_where_an_mr_is_read_and_a_standardised_mr_is_not(table):
    window = phantom(table, "liver").clamp(-125, 275)
    assert any("as a CT does" in text for text in sentences(window, table.one("prostate")))
    loaded = phantom(table, "prostate")
    loaded -= loaded.mean()
    loaded /= loaded.std()
    assert sentences(loaded, table.one("prostate")) == []


def test_a_lost_hounsfield_scale_is_noticed(table):
    loaded = phantom(table, "liver")
    loaded += 1024
    assert "Hounsfield units are -1000 in air" in sentences(loaded, table.one("liver"))[0]


def test_ct_and_pet_in_each_other_s_place_are_noticed_and_the_order_is_told(table):
    loaded = phantom(table, "whole_body_tumour")
    (text,) = sentences(loaded.flip(0), table.one("whole_body_tumour"))
    assert "swapped" in text and text.endswith("Give CT, then PET.")


def test_a_pet_below_zero_is_noticed(table):
    loaded = phantom(table, "whole_body_tumour")
    loaded[1] -= loaded[1].mean() + 3
    assert any("PET holds values below zero" in text for text in sentences(loaded, table.one("whole_body_tumour")))


def test_a_field_smaller_than_the_organ_is_noticed(table):
    loaded = phantom(table, "liver")[..., :20]
    assert any("liver needs about 90 mm" in text for text in sentences(loaded, table.one("liver")))


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_voxels_without_a_finite_value_are_noticed_with_their_share(table, value):
    loaded = phantom(table, "whole_body_tumour")
    hole = loaded[1, 1:-1, 1:-1, 1:6]
    whole = hole.clone()
    hole[:] = value
    (text,) = sentences(loaded, table.one("whole_body_tumour"))
    assert text.startswith(f"{hole.numel() / loaded[1].numel():.1%} of the voxels of the PET are NaN or infinite")
    hole[:] = whole
    loaded[1, 1, 1, 1:4] = value  # a division by 0 here and there
    assert sentences(loaded, table.one("whole_body_tumour")) == []


@pytest.mark.parametrize("slices", [None, 1])
def test_a_background_without_a_value_is_no_fault_but_a_hole_and_an_infinite_one_are(table, slices):
    loaded = phantom(table, "prostate")[..., :slices]
    place = np.indices(loaded.shape[1:2] + loaded.shape[2:3]) - np.array(loaded.shape[1:3])[:, None, None] / 2
    outside = torch.from_numpy((place**2).sum(axis=0) > (0.4 * min(loaded.shape[1:3])) ** 2)
    loaded[:, outside] = float("nan")
    assert set(scan_properties(loaded, table.one("prostate")).non_finite) == {0.0}
    middle = tuple(n // 2 for n in loaded.shape[1:])
    loaded[0, middle[0], middle[1], middle[2]] = float("nan")
    hole = scan_properties(loaded, table.one("prostate")).non_finite
    loaded[:, outside] = float("-inf")
    infinite = scan_properties(loaded, table.one("prostate")).non_finite
    assert hole[0] == pytest.approx(1 / loaded[0].numel()) and hole[1:] == (0.0,) * (len(loaded) - 1)
    assert min(infinite) >= outside.float().mean() - 1e-6 > 0.1


def test_padding_around_a_scan_does_not_change_its_intensities(table):
    loaded = phantom(table, "liver")
    wider = scan(np.pad(loaded.numpy(), ((0, 0), (20, 20), (20, 20), (0, 0)), constant_values=-2000))
    wider.meta[MetaKeys.ORIGINAL_AFFINE] = loaded.meta[MetaKeys.ORIGINAL_AFFINE]
    one, other = (scan_properties(each, table.one("liver")) for each in (loaded, wider))
    np.testing.assert_allclose(one.quantiles[0, 12:], other.quantiles[0, 12:], atol=25)


@pytest.mark.parametrize("size", [(224, 224, 12), (448, 448, 40), (223, 224, 12)])
def test_intensities_are_those_of_all_slices_whatever_the_size(open_tasks, size):
    """With every n-th voxel, a stack whose depth divides n gave one slice alone."""
    values = np.broadcast_to(np.arange(1.0, size[2] + 1), size)
    quantiles = scan_properties(scan(values[None].copy()), open_tasks.one("left_ventricle")).quantiles[0]
    assert quantiles[0] <= 2 and quantiles[-1] == size[2]
    assert quantiles[12] == pytest.approx((size[2] + 2) / 2, abs=1)
