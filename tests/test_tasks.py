import json
import subprocess
import sys

import pytest

from uniseg_nets.tasks import load_task_table


def test_official_table_has_eleven_tasks_with_seventeen_classes(table):
    assert [task.name for task in table][:3] == ["liver", "kidney", "hepatic_vessel"]
    assert [task.id for task in table] == list(range(11))
    assert list(table.labels) == list(range(18))
    assert table.labels[12] == "vertebrae" and table.labels[17] == "whole_body_tumour"


def test_sizes_of_the_network_follow_from_the_table(table):
    assert table.in_channels == [1, 2, 4]
    assert table.out_channels == 4


@pytest.mark.parametrize(
    ("word", "name"), [("spleen", "spleen"), (6, "spleen"), ("6", "spleen"), (["lung", "x"], "lung")]
)
def test_select_takes_names_ids_and_the_first_of_a_menu(table, word, name):
    assert [task.name for task in table.select(word)] == [name]


def test_all_ct_stands_for_the_eight_ct_tasks(table):
    assert [task.id for task in table.select("all_ct")] == list(range(8))
    with pytest.raises(ValueError, match="8 tasks where one is needed"):
        table.one("all_ct")


@pytest.mark.parametrize("word", ["livr", "11", 11, -1, True, "", None, "$__import__('os').getpid()", 1.5, []])
def test_select_refuses_what_is_no_task(table, word):
    with pytest.raises(ValueError, match=r"unknown task|does not exist"):
        table.select(word)


def test_an_unknown_name_is_answered_with_the_nearest(table):
    with pytest.raises(ValueError, match="did you mean 'liver'"):
        table.select("livr")


def test_a_file_that_extends_the_table_replaces_and_appends(tmp_path):
    path = tmp_path / "tasks.json"
    entries = [
        {"name": "spleen", "channels": ["CT"], "spacing": [2, 1, 1], "classes": ["spleen"]},
        {"name": "hippocampus", "channels": ["T1"], "spacing": [1, 1, 1], "classes": ["anterior", "posterior"]},
    ]
    path.write_text(json.dumps({"extends": "uniseg", "tasks": entries}))
    table = load_task_table(path)
    assert len(table) == 12
    assert table.one("spleen").spacing == (2, 1, 1) and table.one("spleen").id == 6
    assert table.one("hippocampus").id == 11 and table.labels[19] == "posterior"
    with pytest.raises(ValueError, match="needs one spacing"):
        table.select("all_ct")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("no json", "tasks.json"),
        ('{"tasks": []}', "at least one task"),
        ('{"tasks": [{"name": "a"}]}', "lacks the field 'channels'"),
        ('{"extends": "other", "tasks": []}', 'only "uniseg" can be extended'),
        ('{"tasks": [{"name": "a", "channels": ["CT"], "spacing": [1, 1], "classes": ["b"]}]}', "three positive"),
        ('{"tasks": [{"name": "a", "channels": ["CT"], "spacing": [1, 1, 0], "classes": ["b"]}]}', "three positive"),
        (
            '{"tasks": [{"name": "a", "channels": ["CT"], "spacing": [1, 1, 1], "classes": ["b", "b"]}]}',
            "more than once",
        ),
    ],
)
def test_a_wrong_file_is_refused_by_name(tmp_path, content, message):
    path = tmp_path / "tasks.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=message) as error:
        load_task_table(path)
    assert str(path) in str(error.value)


def test_the_table_imports_no_torch():
    code = "import sys, uniseg_nets.tasks; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
