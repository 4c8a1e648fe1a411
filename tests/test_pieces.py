import pytest
import torch

from uniseg_nets.tasks import TaskTable, load_task_table
from uniseg_nets.transforms.pieces import keep_largest_pieces


def scene():
    label_map = torch.zeros(8, 8, 8, dtype=torch.uint8)
    label_map[0:3, 0:3, 0:3] = 1  # 27 voxels
    label_map[5:7, 5:7, 5:7] = 1  # 8
    label_map[0, 7, 7] = 1  # 1
    label_map[7, 0:2, 0] = 2
    label_map[7, 7, 0] = 2
    return label_map


def test_of_a_limited_value_the_largest_pieces_stay():
    for most, voxels in ((1, 27), (2, 35), (3, 36), (9, 36)):
        kept = keep_largest_pieces(scene(), {1: most})
        assert int((kept == 1).sum()) == voxels
        assert torch.equal(kept == 2, scene() == 2)
        assert kept.dtype == torch.uint8


def test_zero_keeps_all_pieces_and_the_map_itself():
    label_map = scene()
    assert keep_largest_pieces(label_map, {1: 0, 2: 0, 3: 1}) is label_map


def test_voxels_that_share_a_corner_are_one_piece():
    label_map = torch.zeros(4, 4, 4, dtype=torch.uint8)
    label_map[0, 0, 0] = label_map[1, 1, 1] = 5
    assert keep_largest_pieces(label_map, {5: 1}) is label_map


def test_a_task_says_how_many_pieces_its_classes_have():
    entry = {"name": "heads", "channels": ["CT"], "spacing": [1, 1, 1], "classes": ["cord", "glands", "nodes"]}
    table = TaskTable([{**entry, "max_pieces": {"glands": 2, "cord": 1}}])
    assert table.one("heads").max_pieces == (1, 2, 0)
    assert set(load_task_table("open").one("hippocampus").max_pieces) == {0}
    assert {count for task in load_task_table() for count in task.max_pieces} == {0}  # the official pipeline keeps all


@pytest.mark.parametrize("given", [{"aorta": 1}, {"cord": -1}, {"cord": 1.5}, {"cord": True}, ["cord"]])
def test_a_wrong_number_of_pieces_is_refused(given):
    entry = {"name": "heads", "channels": ["CT"], "spacing": [1, 1, 1], "classes": ["cord"], "max_pieces": given}
    with pytest.raises(ValueError, match="max_pieces"):
        TaskTable([entry])
