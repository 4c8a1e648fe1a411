import nibabel as nib
import numpy as np
import pytest

from uniseg_nets import Segmenter
from uniseg_nets.bundle import run_bundle
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
    with pytest.raises(FileNotFoundError, match=r"expected configs/inference\.json"):
        Segmenter(tmp_path)
    with pytest.raises(FileNotFoundError, match="uniseg fetch-weights"):
        Segmenter(bundle, task="liver", weights=str(tmp_path / "no.pt"))
    with pytest.raises(ValueError, match="did you mean 'liver'"):
        Segmenter(bundle, task="livr", weights=str(demo_weights))
    with pytest.raises(ValueError, match="an array needs its affine"):
        Segmenter(bundle, task="prostate", weights=str(demo_weights))(np.zeros((4, 4, 4)))
