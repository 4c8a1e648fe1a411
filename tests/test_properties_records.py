"""Settings, tables and records: what is written is read again as it was."""

import csv
import json

from hypothesis import given, settings
from hypothesis import strategies as st

import tests.properties  # noqa: F401  (the profile)
from uniseg_nets.io.files import read_json, write_csv, write_json
from uniseg_nets.tasks import AXES, MASKS, TaskTable
from uniseg_nets.transforms import SaveLabelMapd

numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
jsons = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=5), jsons, max_size=5))
def test_json_is_read_as_it_was_written(tmp_path, content):
    write_json(tmp_path / "a.json", content)
    assert read_json(tmp_path / "a.json") == content


# Names of files may hold bytes that are no text; Python writes these as lone surrogates.
cells = st.text(st.characters(exclude_characters="\0")) | st.sampled_from(["=1+1", "M\udcfcller", 'a"b', "a,b", "a\nb"])


@given(st.lists(cells, min_size=1, max_size=4))
def test_a_table_has_every_text_in_its_own_cell_and_none_that_computes(tmp_path, texts):
    write_csv(tmp_path / "a.csv", [{"case": text, "dice": 0.5} for text in texts])
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(texts) and {row["dice"] for row in rows} == {"0.5"}
    for text, row in zip(texts, rows):
        assert not row["case"].startswith(("=", "+", "-", "@", "\t", "\r"))
        assert row["case"].removeprefix("'") == text.removeprefix("'").encode("utf-8", "backslashreplace").decode()


names = st.text(min_size=1, max_size=6)


@st.composite
def task_entries(draw):
    """A task as a user's JSON file may describe it."""
    channels = draw(st.lists(st.sampled_from(["CT", "PET", "T1"]), min_size=1, max_size=3))
    window = st.fixed_dictionaries({"scheme": st.just("window"), "low": st.floats(-9, 0), "high": st.floats(1, 9)})
    scaling = st.lists(st.just({"scheme": "z_score"}) | window, min_size=len(channels), max_size=len(channels))
    needed = {
        "name": names.filter(lambda name: not name.isdecimal()),
        "channels": st.just(channels),
        "spacing": st.lists(st.floats(0.1, 20), min_size=3, max_size=3),
        "classes": st.lists(names, min_size=1, max_size=4, unique=True),
    }
    optional = {
        "axes": st.sampled_from(AXES),
        "mask": st.sampled_from(MASKS),
        "mirror_axes": st.lists(st.integers(0, 2), max_size=3, unique=True),
        "scaling": scaling,
    }
    return draw(st.fixed_dictionaries(needed, optional=optional))


@given(st.lists(task_entries(), min_size=1, max_size=5, unique_by=lambda entry: entry["name"]))
def test_a_task_table_says_what_its_entries_say_and_finds_each_by_name_and_id(entries):
    table = TaskTable(json.loads(json.dumps(entries)))
    assert list(table.labels) == list(range(len(table.labels)))
    for number, (task, entry) in enumerate(zip(table, entries)):
        assert table.one(entry["name"]) is table.one(number) is table.one(str(number)) is task
        for field in ("channels", "spacing", "classes", "mirror_axes"):
            assert getattr(task, field) == tuple(entry.get(field, getattr(task, field)))
        assert (task.axes, task.mask) == (entry.get("axes", AXES[0]), entry.get("mask", MASKS[0]))
        assert len(task.scaling) == len(task.channels)


# What a configuration may hand over, tuples too.
options = st.dictionaries(
    st.sampled_from(["overlap", "mirror", "coarse_pass", "body_only"]),
    st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-1, 1) | st.text(max_size=4),
        lambda inner: st.lists(inner, max_size=2) | st.lists(inner, max_size=2).map(tuple),
        max_leaves=4,
    ),
)


@settings(max_examples=20)
@given(options, options)
def test_a_result_is_finished_for_its_own_settings_and_for_no_others(tmp_path, table, one, other):
    scan = tmp_path / "scan.nii.gz"
    scan.touch()
    case = {"name": "a", "image": str(scan)}
    folder = tmp_path / "out"
    for file in folder.glob("*"):
        file.unlink()
    saver = SaveLabelMapd("pred", folder, table, "liver", metadata=one)
    assert saver.unfinished([case]) == [case]
    saver.write(case, str(scan), {}, lambda path: path.write_text("map"))
    assert SaveLabelMapd("pred", folder, table, "liver", metadata=one).unfinished([case]) == []
    same = json.dumps(one) == json.dumps(other)
    assert SaveLabelMapd("pred", folder, table, "liver", metadata=other).unfinished([case]) == ([] if same else [case])
