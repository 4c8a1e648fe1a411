import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, ornt_transform

from uniseg_nets.tasks import Scaling, TaskTable
from uniseg_nets.transforms import LoadCased, PreprocessCased
from uniseg_nets.transforms.preprocess import scale_intensity_


def preprocess(table, task, path, **more):
    keys = ["image", *more]
    case = LoadCased(keys)({"image": path, **more})
    return PreprocessCased(keys, table, task)(case)


def blob(shape=(40, 30, 20), value=100.0):
    volume = np.zeros(shape, dtype=np.float32)
    volume[5:35, 5:25, 3:17] = value
    volume[10:20, 10:20, 5:10] = -200
    return volume


@pytest.mark.parametrize(
    ("case", "task", "paths"),
    [
        ("ct_sm", "liver", ["data/examples/example_ct_sm.nii.gz"]),
        (
            "petct_sts_006",
            "whole_body_tumour",
            [f"data/sarcoma_petct/imagesTr/sts_006_000{channel}.nii.gz" for channel in (0, 1)],
        ),
    ],
)
def test_what_the_network_sees_is_what_the_official_one_sees(test_data, table, case, task, paths):
    official = np.load(test_data / "parity" / f"{case}_preprocessed.npz")["data"].astype(np.float32)
    image = preprocess(table, task, [test_data / path for path in paths])["image"]
    stored = [axis for axis in (-3, -2, -1) if case == "petct_sts_006" and axis != -3]  # that scan is LPS
    np.testing.assert_allclose(image.flip(stored), official, atol=2e-3 * np.abs(official).max())


def test_the_crop_is_the_box_of_non_zero_voxels(table, write_scan):
    path = write_scan("a.nii.gz", blob(), np.diag([1.5, 1.5, 3, 1]))
    assert preprocess(table, "spleen", path)["image"].shape == (1, 14, 20, 30)


def test_the_size_follows_from_the_task_s_spacing(table, write_scan):
    path = write_scan("a.nii.gz", blob(), np.diag([3.0, 1.5, 1.5, 1]))
    assert preprocess(table, "spleen", path)["image"].shape == (1, 7, 20, 60)


def test_a_window_becomes_0_to_1_and_a_z_score_has_mean_0():
    ct = torch.tensor([-2000.0, -325, 0, 325, 1000])
    scale_intensity_(ct, Scaling("window", -325, 325))
    torch.testing.assert_close(ct, torch.tensor([0, 0, 0.5, 1, 1]))
    mr = torch.arange(10.0)
    scale_intensity_(mr, Scaling("z_score"))
    assert mr.mean().abs() < 1e-6 and mr.std(correction=0) == pytest.approx(1)


def test_percentiles_clip_and_subtract_the_training_set_s_mean():
    ct = torch.tensor([-500.0, 40, 160, 900])
    scaling = Scaling("percentiles", low=-100, high=240, mean=40, std=60)
    scale_intensity_(ct, scaling)
    torch.testing.assert_close(ct, torch.tensor([-140 / 60, 0, 2, 200 / 60]))
    assert scaling.scaled(900) == pytest.approx(200 / 60)


def entry(**more):
    return TaskTable([{"name": "brain", "channels": ["T1"], "spacing": [1, 1, 1], "classes": ["tumour"], **more}])


@pytest.mark.parametrize(
    ("mask", "training", "zero"),
    [("always", False, True), ("training", True, True), ("training", False, False), ("never", True, False)],
)
def test_z_scores_of_non_zero_voxels_leave_0_around_the_head(write_scan, mask, training, zero):
    head = np.zeros((30, 30, 30), dtype=np.float32)
    head[2:28, 5:25, 5:25] = np.random.default_rng(0).normal(500, 50, (26, 20, 20))
    head[2:28, 2, 2] = 400  # something that keeps the crop wider than the head
    head[15, 15, 15] = 0  # a hole, which belongs to the head
    case = LoadCased("image")({"image": write_scan("a.nii.gz", head)})
    image = PreprocessCased("image", entry(mask=mask), 0, training_mask=training)(case)["image"][0]
    assert (image[0, 3:, 1] == 0).all() == zero  # beside the head
    assert image[13, 13, 13] < -1  # the hole
    inside = image[3:23, 3:23] if zero else image
    assert inside.mean().abs() < 0.1


def test_each_channel_is_scaled_by_its_own_modality(table, write_scan):
    files = [write_scan(f"a_{i:04d}.nii.gz", blob(value=v), np.diag([4.0, 4, 8, 1])) for i, v in enumerate((100, 7))]
    image = preprocess(table, "whole_body_tumour", files)["image"]
    assert image[0].min() >= 0 and image[0].max() <= 1
    assert image[1].mean().abs() < 1e-4


@pytest.mark.parametrize("codes", ["LPS", "SAR", "PIR", "RSA"])
def test_the_same_patient_stored_otherwise_gives_the_same_input(table, prostate, write_scan, codes):
    turn = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(codes))
    volume = prostate.image[0]
    affine = prostate.affine @ inv_ornt_aff(turn, volume.shape)
    first = preprocess(table, "prostate", write_scan("a.nii.gz", volume, prostate.affine))["image"]
    second = preprocess(table, "prostate", write_scan("b.nii.gz", apply_orientation(volume, turn), affine))["image"]
    torch.testing.assert_close(first.as_tensor(), second.as_tensor(), atol=1e-3, rtol=0)
    torch.testing.assert_close(first.affine, second.affine, atol=1e-4, rtol=0)


def test_a_label_map_travels_with_its_image(table, prostate, write_scan):
    image = write_scan("a.nii.gz", prostate.image[0], prostate.affine)
    label = write_scan("l.nii.gz", prostate.label, prostate.affine)
    found = preprocess(table, "prostate", image, label=label)
    assert found["label"].shape == found["image"].shape and found["label"].unique().tolist() == [0, 1]
    volume = float((prostate.label > 0).sum()) * abs(np.linalg.det(prostate.affine[:3, :3]))
    assert float((found["label"] > 0).sum()) * 3 * 1.5 * 1.5 == pytest.approx(volume, rel=0.1)


def test_a_label_map_on_another_grid_is_refused(table, prostate, write_scan):
    image = write_scan("a.nii.gz", prostate.image[0], prostate.affine)
    label = write_scan("l.nii.gz", prostate.label[1:], prostate.affine)
    with pytest.raises(ValueError, match=r"a\.nii\.gz: its label map .*l\.nii\.gz lies on another grid"):
        preprocess(table, "prostate", image, label=label)


@pytest.mark.parametrize("moved", [[1.5, 0, 0], [0, -0.2, 0], [0, 0, 3]])
def test_a_label_map_that_lies_elsewhere_is_refused(table, prostate, write_scan, moved):
    image = write_scan("a.nii.gz", prostate.image[0], prostate.affine)
    affine = prostate.affine.copy()
    affine[:3, 3] += moved
    with pytest.raises(ValueError, match="lies on another grid"):
        preprocess(table, "prostate", image, label=write_scan("l.nii.gz", prostate.label, affine))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda label: label.astype(np.int16) * 256, r"holds \[256.0\]: labels are whole numbers from 0 to 255"),
        (lambda label: label * 0.5, r"holds \[0.5\]"),
        (lambda label: np.stack([label, label], axis=-1), "has 2 channels, expected one"),
    ],
)
def test_a_label_map_whose_values_would_be_changed_is_refused(table, prostate, write_scan, spoil, message):
    image = write_scan("a.nii.gz", prostate.image[0], prostate.affine)
    label = write_scan("l.nii.gz", spoil(prostate.label), prostate.affine)
    with pytest.raises(ValueError, match=rf"a\.nii\.gz: its label map .*l\.nii\.gz {message}"):
        preprocess(table, "prostate", image, label=label)


def test_the_task_may_come_with_the_case(table, write_scan):
    path = write_scan("a.nii.gz", blob(), np.diag([1.5, 1.5, 3, 1]))
    case = LoadCased("image")({"image": path, "task": "prostate"})
    assert PreprocessCased("image", table)(case)["image"].min() < 0


def test_a_wrong_channel_count_says_which_files_to_give(table, write_scan):
    path = write_scan("a.nii.gz", blob())
    with pytest.raises(
        ValueError, match=r"a\.nii\.gz: has 1 channel\(s\), task 'whole_body_tumour' reads 2: give _0000"
    ):
        preprocess(table, "whole_body_tumour", path)


def test_nan_voxels_become_zero_with_a_warning(table, write_scan, caplog):
    volume = blob()
    volume[6, 6, 6] = np.nan
    image = preprocess(table, "spleen", write_scan("a.nii.gz", volume))["image"]
    assert torch.isfinite(image).all() and "a.nii.gz: 1 of" in caplog.text


def test_a_background_of_nan_is_cropped_like_one_of_zeros(table, write_scan, caplog):
    zeros, affine = blob(), np.diag([1.5, 1.5, 3, 1])
    nans = np.where(zeros == 0, np.nan, zeros)
    first, second = (
        preprocess(table, "prostate", write_scan(*scan, affine))["image"]
        for scan in (("zeros.nii.gz", zeros), ("nans.nii.gz", nans))
    )
    assert torch.equal(first.as_tensor(), second.as_tensor()) and "nans.nii.gz: 15600 of 24000 voxels" in caplog.text


def test_nan_around_a_body_is_cropped_and_beside_it_air_in_ct_and_0_in_pet(table, write_scan):
    place = np.indices((20, 20, 20)) - 10
    outside = (place[:2] ** 2).sum(axis=0) > 64
    outside[:, :, 15:] = True
    body = [np.where(outside, value, 40).astype(np.float32) for value in (np.nan, -1000, 0)]
    body[1][:2], body[1][19:], body[1][:, :2], body[1][:, 19:], body[1][:, :, 15:] = 0, 0, 0, 0, 0
    affine = np.diag([3, 3, 3, 1])
    nans, filled = (
        preprocess(table, "whole_body_tumour", write_scan(name, np.stack(channels, axis=-1), affine))["image"]
        for name, channels in (("a.nii.gz", [body[0], body[0]]), ("b.nii.gz", [body[1], body[2]]))
    )
    assert nans.shape == filled.shape
    torch.testing.assert_close(nans.as_tensor(), filled.as_tensor())


def test_infinities_in_mr_leave_the_other_voxels_as_they_are(table, write_scan, caplog):
    clean = np.random.default_rng(0).normal(300, 40, (20, 20, 20)).astype(np.float32)
    clean[5, 5, 5:7] = 0
    bad = clean.copy()
    bad[5, 5, 5], bad[5, 5, 6] = np.inf, -np.inf
    first, second = (
        preprocess(table, "prostate", write_scan(f"{name}.nii.gz", array, np.diag([1.5, 1.5, 3, 1])))["image"]
        for name, array in (("clean", clean), ("bad", bad))
    )
    assert torch.equal(first.as_tensor(), second.as_tensor()) and "bad.nii.gz: 2 of 8000 voxels" in caplog.text


def test_an_image_of_nothing_but_nan_is_refused(table, write_scan):
    with pytest.raises(ValueError, match="no finite voxel"):
        preprocess(table, "spleen", write_scan("a.nii.gz", np.full((8, 8, 8), np.nan, dtype=np.float32)))


def test_an_empty_image_is_refused(table, write_scan):
    with pytest.raises(ValueError, match=r"a\.nii\.gz: holds no non-zero voxel"):
        preprocess(table, "spleen", write_scan("a.nii.gz", np.zeros((8, 8, 8), dtype=np.float32)))


def test_a_size_of_zero_is_refused(table, tmp_path):
    path = tmp_path / "a.nii"
    nib.save(nib.Nifti1Image(np.zeros((4, 0, 4), dtype=np.float32), np.eye(4)), path)
    with pytest.raises(ValueError, match=r"a\.nii"):
        preprocess(table, "spleen", path)


@pytest.mark.parametrize(("shift", "warned"), [(0, False), (1024, True)])
def test_ct_that_is_not_in_hounsfield_units_is_warned_of(table, write_scan, caplog, shift, warned):
    preprocess(table, "spleen", write_scan("a.nii.gz", blob() + shift))
    assert ("not Hounsfield" in caplog.text) is warned


def test_a_single_slice_is_no_special_case(table, write_scan):
    volume = np.random.default_rng(0).normal(size=(20, 20, 1)).astype(np.float32) + 50
    assert (
        preprocess(table, "prostate", write_scan("a.nii.gz", volume, np.diag([1.5, 1.5, 3, 1])))["image"].shape[1] == 1
    )


@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_that_needs_no_resampling_is_not_changed(table, order):
    array = np.asarray(blob() + 1, order=order)
    image = LoadCased("image")({"image": MetaTensor(array, affine=torch.diag(torch.tensor([1.5, 1.5, 3, 1])))})
    found = PreprocessCased("image", table, "spleen")(image)["image"]
    assert found.max() <= 1 and np.array_equal(array, blob() + 1)


def test_one_infinite_voxel_among_many_is_found(table, write_scan, caplog):
    volume = blob()
    volume[20, 20, 10] = -np.inf
    assert preprocess(table, "spleen", write_scan("a.nii.gz", volume))["image"].isfinite().all()
    assert "1 of " in caplog.text
