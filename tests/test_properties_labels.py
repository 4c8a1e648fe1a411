"""Label values of any kind: kept exactly, or refused."""

import itertools

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.properties import shapes
from uniseg_nets.tasks import TaskTable
from uniseg_nets.transforms.labels import OwnLabelValuesd, as_label_map, load_label_map

KINDS = ("bool", "uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "float32", "float64")
# What a label map must not hold: each would become another value, or none, in 8 bits.
WRONG = (-1, -0.5, 0.5, 1.01, 254.9, 256, 257, 511, 65536, 1e9, float("nan"), float("inf"), -float("inf"))


@st.composite
def maps(draw):
    """A label map (x, y, z) with whole numbers that its type and 8 bits hold."""
    kind = np.dtype(draw(st.sampled_from(KINDS)))
    top = {"b": 1, "f": 255}.get(kind.kind) or min(255, np.iinfo(kind).max)
    return draw(arrays(np.uint8, draw(shapes(4)), elements=st.integers(0, top))).astype(kind)


@given(maps())
def test_whole_numbers_of_8_bits_come_through_whatever_their_type(label):
    found = as_label_map(torch.from_numpy(label)[None])
    assert found.dtype == torch.uint8 and np.array_equal(found[0], label.astype(np.uint8))


@given(maps().filter(lambda label: label.dtype != bool and label.dtype.itemsize > 1), st.sampled_from(WRONG), st.data())
def test_one_voxel_that_8_bits_do_not_hold_and_the_map_is_refused(label, wrong, data):
    if label.dtype.kind == "f":
        value = wrong
    else:
        bounds = np.iinfo(label.dtype)
        value = data.draw(
            st.one_of(st.integers(256, bounds.max), st.integers(bounds.min, -1) if bounds.min else st.nothing())
        )
    place = tuple(data.draw(st.integers(0, n - 1)) for n in label.shape)
    label[place] = value
    with pytest.raises(ValueError, match="labels are whole numbers from 0 to 255"):
        as_label_map(torch.from_numpy(label)[None])


@given(maps().filter(lambda label: label.dtype not in (np.dtype(bool), np.dtype(np.int64))), st.booleans())
def test_a_file_s_label_values_are_read_as_they_were_written(tmp_path, label, scaled):
    stored = (label.astype(np.int16) - 7) * 4 if scaled else label  # some programs write masks with a slope
    image = nib.Nifti1Image(stored, np.diag([1.0, 2, 3, 1]))
    if scaled:
        image.header.set_slope_inter(0.25, 7)
    nib.save(image, tmp_path / "label.nii")
    assert np.array_equal(load_label_map(tmp_path / "label.nii")[0], label)


@st.composite
def tables(draw):
    """Tasks whose classes have label values of a user's choice."""
    values = draw(st.lists(st.integers(1, 255), min_size=1, max_size=8, unique=True))
    cuts = sorted({0, len(values), *draw(st.lists(st.integers(1, len(values)), max_size=3))})
    parts = [values[start:stop] for start, stop in itertools.pairwise(cuts)]
    return TaskTable(
        [
            {"name": f"t{n}", "channels": ["CT"], "spacing": [1, 1, 1], "classes": list(map(str, part)), "values": part}
            for n, part in enumerate(parts)
        ]
    )


@given(tables(), st.data())
def test_every_value_of_a_task_becomes_its_own_number_and_every_other_is_refused(table, data):
    task = data.draw(st.sampled_from(table.tasks))
    own = data.draw(st.lists(st.integers(0, len(task.values)), min_size=1, max_size=20))
    files = torch.tensor([(0, *task.values)[value] for value in own], dtype=torch.uint8).reshape(1, -1, 1, 1)
    to_own, as_task = OwnLabelValuesd("label", table), OwnLabelValuesd("label", table, "task")
    assert to_own({"label": files, "task": task.name})["label"].flatten().tolist() == own
    assert as_task({"label": torch.tensor(own), "task": task.id})["label"].tolist() == own
    strange = data.draw(st.integers(1, 255).filter(lambda value: value not in task.values))
    with pytest.raises(ValueError, match=rf"holds values \[{strange}\]"):
        to_own({"label": torch.tensor([[0, strange]], dtype=torch.uint8), "task": task.name})
