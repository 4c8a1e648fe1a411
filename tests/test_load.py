import re

import itk
import nibabel as nib
import numpy as np
import pytest
import torch

from tests.dicom_files import write_series
from uniseg_nets.io.names import scan_name
from uniseg_nets.transforms import LoadCase, LoadCased
from uniseg_nets.transforms.load import DOUBTS

AFFINE = np.array([[-1.0, 0, 0, 30], [0, -1.5, 0, 40], [0, 0, 2, -50], [0, 0, 0, 1]])


def volume(*shape: int) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a/case_0000.nii.gz", ("case", 0)),
        ("case_7_0003.nrrd", ("case_7", 3)),
        ("case.nii", ("case", None)),
        ("CASE.MHA", ("CASE", None)),
        ("sub-01_123456.nii.gz", ("sub-01_123456", None)),
    ],
)
def test_scan_name_tells_case_and_channel(path, expected):
    assert scan_name(path) == expected


def test_nifti_keeps_voxels_and_affine(write_scan):
    image = LoadCase()(write_scan("a.nii.gz", volume(4, 5, 6), AFFINE))
    assert image.shape == (1, 4, 5, 6) and image.dtype == torch.float32
    np.testing.assert_array_equal(image[0], volume(4, 5, 6))
    np.testing.assert_allclose(image.affine, AFFINE)


@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
def test_other_formats_give_the_same_as_nifti(write_scan, tmp_path, ending):
    source = write_scan("a.nii.gz", volume(4, 5, 6), AFFINE)
    other = tmp_path / f"a{ending}"
    itk.imwrite(itk.imread(str(source)), str(other))
    first, second = LoadCase()(source), LoadCase()(other)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first.affine, second.affine, atol=1e-5)


def test_dicom_series_equals_the_scan_it_was_written_from(write_scan, tmp_path):
    scan = itk.imread(str(write_scan("a.nii.gz", volume(16, 12, 5).astype(np.int16), AFFINE)), itk.SS)
    folder = tmp_path / "series"
    folder.mkdir()
    names = itk.NumericSeriesFileNames.New()
    names.SetSeriesFormat(str(folder / "slice%03d.dcm"))
    names.SetStartIndex(1)
    names.SetEndIndex(5)
    write_dicom(scan, names.GetFileNames())
    loaded = LoadCase()(folder)
    np.testing.assert_array_equal(loaded[0], volume(16, 12, 5))
    np.testing.assert_allclose(loaded.affine, AFFINE, atol=1e-3)


def write_dicom(scan, names) -> None:
    """One file a slice, with the geometry tags that place it."""
    uid = "1.2.826.0.1.3680043.2.1125.1"
    for index, name in enumerate(names):
        region = scan.GetLargestPossibleRegion()
        region.SetSize(2, 1)
        region.SetIndex(2, index)
        piece = itk.region_of_interest_image_filter(scan, region_of_interest=region)
        io = itk.GDCMImageIO.New()
        io.KeepOriginalUIDOn()
        tags = itk.MetaDataDictionary()
        position = piece.GetOrigin()
        tags["0008|0060"] = "CT"
        tags["0020|000e"] = uid
        tags["0020|000d"] = uid + ".1"
        tags["0020|0032"] = "\\".join(f"{value:g}" for value in position)
        tags["0020|0037"] = "1\\0\\0\\0\\1\\0"
        tags["0020|0013"] = str(index)
        piece.SetMetaDataDictionary(tags)
        itk.imwrite(piece, name, imageio=io)


def test_a_real_dicom_series_equals_its_nifti_twin_in_spacing(test_data):
    image = LoadCase()(test_data / "data" / "examples" / "dicom_ct")
    assert image.ndim == 4 and image.shape[0] == 1 and float(image.min()) < -500


def test_a_4d_file_has_its_channels_first(write_scan):
    image = LoadCase()(write_scan("a.nii.gz", volume(4, 5, 6, 2), AFFINE))
    np.testing.assert_array_equal(image, np.moveaxis(volume(4, 5, 6, 2), -1, 0))


@pytest.mark.parametrize("shape", [(4, 5, 6, 1, 2), (4, 5, 6, 2, 1), (4, 5, 6, 1, 2, 1)])
def test_axes_of_one_voxel_beside_the_channels_are_dropped(write_scan, shape):
    image = LoadCase()(write_scan("a.nii.gz", volume(*shape), AFFINE))
    np.testing.assert_array_equal(image, np.moveaxis(volume(4, 5, 6, 2), -1, 0))


def test_channel_files_are_stacked_in_order(write_scan):
    files = [write_scan(f"a_{i:04d}.nii.gz", volume(4, 5, 6) + 1000 * i, AFFINE) for i in range(4)]
    assert [float(c.min()) for c in LoadCase()(files)] == [0, 1000, 2000, 3000]


def test_a_channel_on_another_grid_is_resampled_with_a_warning(write_scan, caplog):
    fine, coarse = np.diag([1.0, 1, 1, 1]), np.diag([2.0, 2, 2, 1])
    coarse[:3, 3] = 0.5
    ramp = np.broadcast_to(np.arange(8, dtype=np.float32)[:, None, None], (8, 8, 8)).copy()
    half = np.broadcast_to(np.arange(0.5, 8, 2, dtype=np.float32)[:, None, None], (4, 4, 4)).copy()
    image = LoadCase()([write_scan("a_0000.nii.gz", ramp, fine), write_scan("a_0001.nii.gz", half, coarse)])
    assert "another grid" in caplog.text and "a_0001.nii.gz" in caplog.text
    np.testing.assert_allclose(image[1, 1:7], ramp[1:7], atol=1e-4)


def elsewhere(write_scan, millimetres, turned=None):
    """Two channels of 20 mm, the second one displaced along z."""
    displaced = np.eye(4) if turned is None else turned
    displaced[2, 3] += millimetres
    return [
        write_scan("a_0000.nii.gz", volume(20, 20, 20), np.eye(4)),
        write_scan("a_0001.nii.gz", volume(20, 20, 20), displaced),
    ]


@pytest.mark.parametrize(("millimetres", "share"), [(400, "0%"), (16, "20%")])
def test_a_channel_that_lies_elsewhere_is_refused_with_both_places(write_scan, millimetres, share):
    z = f"z {millimetres} to {millimetres + 19} mm"
    with pytest.raises(ValueError, match=rf"a_0001\.nii\.gz covers {share} of .*a_0000.*{z}.*, z 0 to 19 mm.*register"):
        LoadCase()(elsewhere(write_scan, millimetres))


@pytest.mark.parametrize(("millimetres", "doubtful"), [(8, True), (3, False)])
def test_a_channel_that_covers_a_part_of_the_first_one_is_doubtful(write_scan, millimetres, doubtful, caplog):
    image = LoadCase()(elsewhere(write_scan, millimetres))
    assert f"covers {100 - 5 * millimetres} %" in caplog.text
    assert ("Channel 2 covers only 60%" in image.meta.get(DOUBTS, "")) == doubtful


def test_a_wide_channel_and_a_turned_one_cover_the_first_one(write_scan):
    turned = np.array([[0, -1, 0, 19], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    image = LoadCase()(elsewhere(write_scan, 0, turned))
    wide = write_scan("wide.nii.gz", volume(40, 40, 40), np.array(np.eye(4) - 10 * np.eye(4, k=3)))
    assert DOUBTS not in image.meta
    assert DOUBTS not in LoadCase()([write_scan("b.nii.gz", volume(20, 20, 20)), wide]).meta


def test_a_gap_in_the_channel_files_is_named(write_scan):
    files = [write_scan(f"a_{i:04d}.nii.gz", volume(4, 5, 6)) for i in (0, 1, 3)]
    with pytest.raises(ValueError, match="missing _0002"):
        LoadCase()(files)


def test_one_file_alone_may_have_any_number(write_scan):
    assert LoadCase()(write_scan("a_0001.nii.gz", volume(4, 5, 6))).shape == (1, 4, 5, 6)


def test_header_noise_is_no_other_grid(write_scan, caplog):
    noisy = AFFINE.copy()
    noisy[0, 3] += 1e-5
    LoadCase()(
        [write_scan("a_0000.nii.gz", volume(4, 5, 6), AFFINE), write_scan("a_0001.nii.gz", volume(4, 5, 6), noisy)]
    )
    assert not caplog.text


def test_a_case_s_task_says_which_series_of_a_study_is_read(tmp_path, table):
    write_series(tmp_path / "study", "CT", volume(5, 6, 4))
    for file in write_series(tmp_path / "mr", "MR", volume(5, 6, 10)):
        file.rename(tmp_path / "study" / f"mr-{file.name}")
    load = LoadCased("image", tasks=table)
    shapes = [load({"image": tmp_path / "study", "task": task})["image"].shape for task in ("liver", "prostate", 0)]
    assert shapes == [(1, 5, 6, 4), (1, 5, 6, 10), (1, 5, 6, 4)]


def test_arrays_are_taken_as_loaded():
    assert LoadCase()(np.zeros((4, 5, 6))).shape == (1, 4, 5, 6)
    assert LoadCase()(torch.zeros(2, 4, 5, 6)).shape == (2, 4, 5, 6)
    with pytest.raises(ValueError, match="expected"):
        LoadCase()(np.zeros((4, 5)))


def test_unreadable_files_are_named(tmp_path, write_scan, monkeypatch):
    (tmp_path / "text.nii.gz").write_text("this is no scan")
    whole = write_scan("whole.nii.gz", volume(20, 20, 20)).read_bytes()
    (tmp_path / "cut.nii.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "empty").mkdir()
    for name in ("text.nii.gz", "cut.nii.gz", "notes.txt", "empty"):
        with pytest.raises(ValueError, match=f"cannot read .*{name}"):
            LoadCase()(tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r"none\.nii"):
        LoadCase()(tmp_path / "none.nii")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=f"no file {re.escape(str(tmp_path / 'none.nii'))}$"):
        LoadCase()("none.nii")


def test_a_nifti_2_file_is_read(write_scan):
    assert LoadCase()(write_scan("a.nii.gz", volume(4, 5, 6), AFFINE, nib.Nifti2Image)).shape == (1, 4, 5, 6)
