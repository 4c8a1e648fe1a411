"""What differs between Linux, macOS and Windows: paths in files, and how a loader's processes begin."""

import os
import pickle
from pathlib import Path, PureWindowsPath

import pytest
from torch.utils.data import DataLoader

from tests.test_bundle_training import SHORT, data, part, training  # noqa: F401, the fixture
from uniseg_nets.io.bundles import bundle_folder
from uniseg_nets.io.paths import portable_path


def test_a_path_is_written_from_its_folder_with_forward_slashes(tmp_path):
    assert portable_path(tmp_path / "scans" / "a.nii", tmp_path / "plans") == "../scans/a.nii"


def test_a_link_keeps_its_name_whose_ending_tells_the_format(tmp_path):
    (tmp_path / "blobs").mkdir()
    (tmp_path / "scans").mkdir()
    (tmp_path / "blobs" / "3f2a").touch()
    (tmp_path / "scans" / "a.nii.gz").symlink_to("../blobs/3f2a")
    assert portable_path(tmp_path / "scans" / "a.nii.gz", tmp_path) == "scans/a.nii.gz"


def test_a_path_on_another_drive_is_absolute(tmp_path, monkeypatch):
    def on_windows(path, start):
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    monkeypatch.setattr(os.path, "relpath", on_windows)
    assert portable_path(tmp_path / "a.nii", tmp_path) == (tmp_path / "a.nii").resolve().as_posix()


def test_no_file_of_the_repository_has_a_name_that_windows_refuses():
    root = Path(__file__).parents[1]
    names = [path.name for top in ("uniseg_nets", "bundles", "tests", "docs") for path in (root / top).rglob("*")]
    wrong = [
        name
        for name in names
        if PureWindowsPath(name).is_reserved() or set(name) & set('<>:"|?*') or name != name.rstrip(" .")
    ]
    assert len(names) > 300 and wrong == []


@pytest.fixture
def trained(data, tmp_path):  # noqa: F811
    return training(bundle_folder("uniseg_upstream"), data, **SHORT, output_dir=str(tmp_path / "w"))


def test_a_training_s_data_reach_processes_that_begin_anew(trained):
    """macOS and Windows start a loader's processes afresh and send them the data set, which Linux hands on as it is."""
    dataset = part(trained, "train#dataset")
    assert len(pickle.loads(pickle.dumps(dataset))) == len(dataset)


@pytest.mark.slow
def test_a_loader_of_processes_that_begin_anew_gives_batches(trained):
    dataset, sampler = part(trained, "train#dataset"), part(trained, "train#sampler")
    loader = DataLoader(dataset, batch_sampler=sampler, num_workers=1, multiprocessing_context="spawn")
    assert next(iter(loader))["image"].ndim == 5
