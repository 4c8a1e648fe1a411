import os
from pathlib import Path

import pytest
import torch
from monai.data import list_data_collate
from monai.transforms import MapTransform

from uniseg_nets.data import PreprocessedDataset
from uniseg_nets.tasks import TaskTable


class Read(MapTransform):
    """Counts how often it runs."""

    runs = 0

    def __init__(self, keys, factor=1, tasks=None):
        super().__init__(keys)
        self.factor = factor
        self.tasks = tasks

    def __call__(self, data):
        type(self).runs += 1
        number = float(Path(data["image"]).read_text())
        return {**data, "image": torch.full((1, 4, 4, 4), number * self.factor)}


@pytest.fixture
def cases(tmp_path):
    Read.runs = 0
    found = []
    for i in range(3):
        path = tmp_path / f"{i}.txt"
        path.write_text(str(i))
        found.append({"name": str(i), "image": str(path), "task": "liver"})
    return found


def dataset(cases, tmp_path, **more):
    return PreprocessedDataset(cases, [Read("image", **more)], cache_dir=tmp_path / "cache")


def test_preprocessing_runs_once_and_survives_the_process(cases, tmp_path):
    first = dataset(cases, tmp_path)
    first.fill()
    assert Read.runs == 3
    again = dataset(cases, tmp_path)
    assert [float(again[i]["image"].mean()) for i in range(3)] == [0, 1, 2]
    assert Read.runs == 3 and again[0]["task"] == "liver"


def test_cases_with_and_without_a_group_make_a_batch(cases, tmp_path):
    cases[0] |= {"group": "p0", "folder": "raw", "source": "nnunet", "fold": 1}
    kept = dataset(cases[:2], tmp_path)
    assert list_data_collate([kept[0], kept[1]])["name"] == ["0", "1"]


def test_a_task_is_given_to_cases_that_name_none_and_leaves_out_those_of_others(cases, tmp_path):
    submitted = [cases[1], {"image": cases[0]["image"]}, cases[2] | {"task": "spleen"}]
    given = PreprocessedDataset(submitted, [Read("image")], cache_dir=tmp_path / "cache", task="spleen")
    assert [float(given[i]["image"].mean()) for i in range(len(given))] == [0, 2]
    assert [given[i]["task"] for i in range(len(given))] == ["spleen", "spleen"]


def test_random_transforms_run_every_time_and_do_not_change_what_is_kept(cases, tmp_path):
    def spoil(case):
        case["image"] += 1
        return case

    spoiled = PreprocessedDataset(cases, [Read("image")], [spoil], tmp_path / "cache")
    assert [float(spoiled[1]["image"].mean()) for _ in range(2)] == [2, 2]


@pytest.mark.parametrize("change", ["transform", "file", "table", "case", "label"])
def test_what_changed_is_done_anew(cases, tmp_path, change):
    entry = {"name": "liver", "channels": ["CT"], "spacing": [3, 1, 1], "classes": ["liver"]}
    label = tmp_path / "label.txt"
    label.write_text("0")
    cases[1] |= {"label": str(label)}
    dataset(cases, tmp_path, tasks=TaskTable([entry])).fill()
    options = {"tasks": TaskTable([entry])}
    if change == "transform":
        options["factor"] = 2
    if change == "table":
        options["tasks"] = TaskTable([entry | {"spacing": [4, 1, 1]}])
    if change == "file":
        os.utime(cases[1]["image"], (1, 1))
    if change == "label":
        os.utime(label, (1, 1))
    if change == "case":
        cases[1] = cases[1] | {"task": "spleen"}
    dataset(cases, tmp_path, **options).fill()
    assert Read.runs == (6 if change in ("transform", "table") else 4)


def test_a_changed_label_map_is_preprocessed_anew(cases, tmp_path):
    label = tmp_path / "label.txt"
    label.write_text("1")
    cases[1] = cases[1] | {"label": str(label)}
    dataset(cases, tmp_path).fill()
    dataset(cases, tmp_path).fill()
    assert Read.runs == 3
    label.write_text("1 and more")
    dataset(cases, tmp_path).fill()
    assert Read.runs == 4


@pytest.mark.parametrize("changed", ["a.raw", "study/1.dcm"])
def test_voxels_that_changed_behind_a_header_or_in_a_folder_are_read_anew(tmp_path, changed):
    (tmp_path / "study").mkdir()
    for name, content in (("a.mhd", "ElementDataFile = a.raw\n"), ("a.raw", ""), ("study/1.dcm", "")):
        (tmp_path / name).write_text(content)
    case = {"name": "a", "image": [str(tmp_path / "a.mhd"), str(tmp_path / "study")]}
    paths = []
    for _ in range(2):
        kept = PreprocessedDataset([case], [], cache_dir=tmp_path / "cache")
        kept.fill()
        paths.append(set((tmp_path / "cache").iterdir()))
        before = (tmp_path / changed).parent.stat()
        os.utime(tmp_path / changed, (1, 1))
        os.utime((tmp_path / changed).parent, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert len(paths[0]) == 1 and len(paths[1]) == 2


def test_a_damaged_file_is_made_anew_with_a_warning(cases, tmp_path, caplog):
    dataset(cases, tmp_path).fill()
    damaged = sorted((tmp_path / "cache").iterdir())[0]
    damaged.write_bytes(damaged.read_bytes()[:100])
    again = dataset(cases, tmp_path)
    assert sorted(float(again[i]["image"].mean()) for i in range(3)) == [0, 1, 2]
    assert "is damaged" in caplog.text and Read.runs == 4


def test_a_case_that_cannot_be_read_is_named_and_leaves_nothing(cases, tmp_path):
    (tmp_path / "1.txt").write_text("no number")
    with pytest.raises(ValueError, match="case 1: could not convert"):
        dataset(cases, tmp_path).fill()
    assert len(list((tmp_path / "cache").rglob("*.pt"))) == 1
