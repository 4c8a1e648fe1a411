from pathlib import Path

import pytest
from monai import apps

from tests.test_prepare import miniature, names_of
from uniseg_nets.prepare import prepare


@pytest.fixture
def fetched(monkeypatch):
    """Stands in for MONAI's downloader: unpacks a miniature of the data set; lists what it was asked for."""
    asked = []

    def download(url, filepath, output_dir, hash_val, hash_type):
        asked.append((url, filepath.name, hash_val, hash_type))
        miniature(Path(output_dir) / filepath.stem, "msd04")

    monkeypatch.setattr(apps, "download_and_extract", download)
    return asked


def test_an_archive_of_the_decathlon_is_fetched_once_and_read(fetched, tmp_path, open_tasks):
    for _ in range(2):
        path = prepare("msd04", tmp_path / "raw", tmp_path / "out", open_tasks, download=True)
    assert names_of(path) == [f"hippocampus_00{index}" for index in range(5)]
    ((url, file, digest, kind),) = fetched
    assert url.startswith("https://") and url.endswith("Task04_Hippocampus.tar") and file == "Task04_Hippocampus.tar"
    assert digest == apps.DecathlonDataset.md5["Task04_Hippocampus"] and kind == "md5"
    assert [entry.name for entry in (tmp_path / "raw").iterdir()] == ["Task04_Hippocampus"]


def test_a_folder_that_was_unpacked_by_hand_is_not_fetched(fetched, tmp_path, open_tasks):
    prepare("msd04", miniature(tmp_path / "raw", "msd04"), tmp_path / "out", open_tasks, download=True)
    assert fetched == []


def test_a_broken_archive_is_named_and_leaves_nothing(monkeypatch, tmp_path, open_tasks):
    def download(url, filepath, output_dir, hash_val, hash_type):
        (Path(output_dir) / "Task04_Hippocampus").mkdir()
        raise RuntimeError("md5 check of downloaded file failed")

    monkeypatch.setattr(apps, "download_and_extract", download)
    with pytest.raises(ValueError, match=r"Hippocampus was not fetched: md5 check .*Hippocampus\.tar has to"):
        prepare("msd04", tmp_path / "raw", tmp_path / "out", open_tasks, download=True)
    assert list((tmp_path / "raw").iterdir()) == [] and not (tmp_path / "out").exists()


def test_what_cannot_be_fetched_says_what_can(fetched, tmp_path, table):
    with pytest.raises(ValueError, match=r"lits cannot be downloaded from here, only msd02, msd03, "):
        prepare("lits", tmp_path, tmp_path / "out", table, download=True)
