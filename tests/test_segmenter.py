import sys
import zipfile

import nibabel as nib
import numpy as np
import pytest
import torch

from uniseg_nets import Segmenter
from uniseg_nets.bundle.contents import zip_bundle
from uniseg_nets.bundle.run import run_bundle
from uniseg_nets.io.errors import NotInstalledError
from uniseg_nets.phantom import write_phantoms


@pytest.fixture
def scan(tmp_path, table):
    (name,) = write_phantoms(tmp_path / "scans", table.one("prostate"), 1, seed=7)
    return tmp_path / "scans" / "imagesTr" / f"{name}_0000.nii.gz"


def test_file_array_and_command_give_one_label_map(bundle, demo_weights, scan, tmp_path):
    segmenter = Segmenter(bundle, task="prostate", weights=str(demo_weights), overlap=0.25)
    from_file = segmenter(scan)
    image = nib.load(scan)
    from_array = segmenter(image.get_fdata(dtype=np.float32), affine=image.affine)
    options = {"dataset_dir": str(scan), "output_dir": str(tmp_path / "out"), "task": "prostate", "overlap": 0.25}
    run_bundle("uniseg_upstream", ["inference.json", "demo.json"], **options)
    by_command = np.asarray(nib.load(tmp_path / "out" / "prostate_0007.nii.gz").dataobj)
    assert from_file.shape == image.shape and from_file.dtype == np.uint8
    assert np.array_equal(from_file, by_command) and np.array_equal(from_array, by_command)
    assert (from_file == 13).sum() > 1000 and segmenter.labels == {0: "background", 13: "prostate"}


def test_what_is_missing_is_named(bundle, demo_weights, scan, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no bundle at .*: expected a folder `configs` in it"):
        Segmenter(tmp_path)
    (tmp_path / "half" / "configs").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"expected configs/inference\.json"):
        Segmenter(tmp_path / "half")
    with pytest.raises(FileNotFoundError, match=r"no bundle 'uniseg_upstrem': expected .* or one of .*uniseg_upstream"):
        Segmenter("uniseg_upstrem")
    with pytest.raises(FileNotFoundError, match="uniseg fetch-weights"):
        Segmenter(bundle, task="liver", weights=str(tmp_path / "no.pt"))
    with pytest.raises(ValueError, match="did you mean 'liver'"):
        Segmenter(bundle, task="livr", weights=str(demo_weights))
    with pytest.raises(ValueError, match="an array needs its affine"):
        Segmenter(bundle, task="prostate", weights=str(demo_weights))(np.zeros((4, 4, 4)))


@pytest.fixture(scope="module")
def segmenter(demo_weights):
    return Segmenter("uniseg_upstream", task="prostate", weights=str(demo_weights), overlap=0.25)


def test_a_nibabel_image_gives_the_label_map_of_its_file(segmenter, scan):
    assert np.array_equal(segmenter(nib.load(scan)), segmenter(scan))


def test_no_gradients_are_kept_while_a_scan_is_segmented(segmenter, scan, monkeypatch):
    kept, inferer = [], segmenter._inferer

    def watched(*args):
        kept.append(torch.is_grad_enabled())
        return inferer(*args)

    monkeypatch.setattr(segmenter, "_inferer", watched)
    segmenter(scan)
    assert kept == [False]


@pytest.mark.parametrize("given", ["file", "nibabel image", "array"])
def test_a_label_map_is_saved_where_its_scan_lies(segmenter, scan, tmp_path, given):
    image = nib.load(scan)
    image.header["descrip"] = b"a name"
    image.set_sform(image.affine, code=4)
    nib.save(image, scan)
    image = nib.load(scan)
    found = {
        "file": lambda: segmenter(scan),
        "nibabel image": lambda: segmenter(image),
        "array": lambda: segmenter(image.get_fdata(), affine=image.affine),
    }[given]()
    saved = nib.load(found.save(tmp_path / "out" / "labels.nii.gz"))
    assert saved.get_data_dtype() == np.uint8 and np.array_equal(np.asarray(saved.dataobj), np.asarray(found))
    np.testing.assert_allclose(saved.affine, image.affine, atol=1e-5)
    assert saved.header["sform_code"] == (1 if given == "array" else 4) and b"a name" not in bytes(
        saved.header["descrip"]
    )
    assert found.labels == {0: "background", 13: "prostate"}


def test_only_a_whole_label_map_is_saved_and_never_over_its_scan(segmenter, scan, tmp_path):
    found = segmenter(scan)
    for part in (found[2:], found[::-1], found == 13, found.copy()):
        with pytest.raises(ValueError, match="computed from a label map"):
            part.save(tmp_path / "part.nii.gz")
    with pytest.raises(ValueError, match="is the scan itself"):
        found.save(scan)
    with pytest.raises(ValueError, match=r"as \.nii\.gz, \.nii or \.seg\.nrrd, not as labels\.png"):
        found.save(tmp_path / "labels.png")


def test_errors_are_told_without_the_names_of_transforms(segmenter, tmp_path):
    (tmp_path / "text.nii.gz").write_text("this is no scan")
    with pytest.raises(ValueError, match=r"^cannot read .*text\.nii\.gz"):
        segmenter(tmp_path / "text.nii.gz")
    with pytest.raises(FileNotFoundError, match=r"^no file "):
        segmenter(tmp_path / "none.nii.gz")
    with pytest.raises(ValueError, match=r"has 2 channel\(s\), task 'prostate' reads 1"):
        segmenter(np.ones((2, 8, 8, 8)), affine=np.eye(4))


def test_a_zipped_bundle_segments_as_its_folder_does(copy, demo_weights, segmenter, scan, tmp_path):
    (copy / "models").mkdir(exist_ok=True)
    (copy / "models" / "model.pt").write_bytes(demo_weights.read_bytes())
    zipped = Segmenter(zip_bundle(copy, tmp_path / "dist"), task="prostate", overlap=0.25)
    assert np.array_equal(zipped(scan), segmenter(scan))


def test_a_zip_that_would_write_elsewhere_or_holds_no_bundle_is_refused(tmp_path):
    for name in ("../evil.txt", "/tmp/evil.txt", "bundle/../../evil.txt"):
        with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
            archive.writestr("bundle/configs/inference.json", "{}")
            archive.writestr(name, "x")
        with pytest.raises(ValueError, match=r"would leave its folder: nothing was unpacked"):
            Segmenter(tmp_path / "bad.zip")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme.txt", "x")
    with pytest.raises(ValueError, match=r"holds no bundle: expected configs/inference\.json"):
        Segmenter(tmp_path / "other.zip")
    (tmp_path / "no.zip").write_text("x")
    with pytest.raises(ValueError, match="is no bundle"):
        Segmenter(tmp_path / "no.zip")


def test_a_notebook_shows_the_scan_and_its_classes(bundle, demo_weights, scan):
    pytest.importorskip("ipyniivue", reason="the viewer: pip install ipyniivue")
    segmenter = Segmenter(bundle, task="prostate", weights=str(demo_weights), overlap=0.25)
    image, labels = segmenter.show(scan).volumes
    shown = nib.Nifti1Image.from_bytes(labels.data)
    voxels = (np.asarray(shown.dataobj) == 13).sum() * np.prod(shown.header.get_zooms())
    wanted = (segmenter(scan) == 13).sum() * np.prod(nib.load(scan).header.get_zooms())
    assert voxels == pytest.approx(wanted, rel=0.05)
    assert nib.Nifti1Image.from_bytes(image.data).shape == shown.shape
    assert labels.colormap_label.lut[-4:] == [0xE6, 0x55, 0x0D, 255]


def test_a_view_without_the_widget_s_package_says_what_to_install(bundle, demo_weights, scan, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipyniivue", None)
    with pytest.raises(NotInstalledError, match="`pip install ipyniivue`"):
        Segmenter(bundle, task="prostate", weights=str(demo_weights), overlap=0.25).show(scan)
