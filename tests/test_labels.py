import pytest
import torch

from uniseg_nets.transforms import OwnLabelValuesd


@pytest.mark.parametrize(("values", "stored"), [("global", [0, 14, 16]), ("task", [0, 1, 3])])
def test_values_of_either_kind_become_the_task_s_own(table, values, stored):
    label = torch.tensor(stored, dtype=torch.float32).reshape(1, 3, 1, 1)
    found = OwnLabelValuesd("label", table, values)({"label": label, "task": "brain_tumour"})["label"]
    assert found.flatten().tolist() == [0, 1, 3]


def test_a_value_of_no_class_is_named(table):
    label = torch.tensor([0.0, 4.0]).reshape(1, 2, 1, 1)
    with pytest.raises(ValueError, match=r"holds values \[4.0\], task 'spleen' has \{11: 'spleen'\}"):
        OwnLabelValuesd("label", table)({"label": label, "task": "spleen"})
    with pytest.raises(ValueError, match="expected 'global' or 'task'"):
        OwnLabelValuesd("label", table, "union")
