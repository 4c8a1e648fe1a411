import json
import subprocess
import sys

import pytest

from uniseg_nets.tasks import TaskTable, chosen, load_task_table, shipped_table, table_of


def test_official_table_has_eleven_tasks_with_seventeen_classes(table):
    assert [task.name for task in table][:3] == ["liver", "kidney", "hepatic_vessel"]
    assert [task.id for task in table] == list(range(11))
    assert list(table.labels) == list(range(18))
    assert table.labels[12] == "vertebrae" and table.labels[17] == "whole_body_tumour"


def test_sizes_of_the_network_follow_from_the_table(table):
    assert table.in_channels == [1, 2, 4]
    assert table.out_channels == 4


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("spleen", ["spleen"]),
        (6, ["spleen"]),
        ("6", ["spleen"]),
        (["lung"], ["lung"]),
        (("liver", "spleen"), ["liver", "spleen"]),
        ("spleen, liver", ["spleen", "liver"]),
        (("0", 6), ["liver", "spleen"]),
    ],
)
def test_select_takes_names_and_ids_one_or_several(table, words, names):
    assert [task.name for task in table.select(words)] == names


def test_of_a_menu_of_which_nothing_was_chosen_the_first_entry_counts(table):
    assert [chosen(menu) for menu in (["lung", "liver"], ("lung",), "liver", 3)] == ["lung", "lung", "liver", 3]
    with pytest.raises(ValueError, match="unknown task"):
        table.select(chosen([]))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["liver", "prostate"], "choice of channels: liver reads CT at 3 x 1.5 x 1.5 mm.*prostate reads T2 .*Run them"),
        (["liver", "splen"], "did you mean 'spleen'"),
        (["liver", "liver"], "task liver occurs more than once"),
        ("liver,all_ct", "task liver occurs more than once"),
        ("liver,", "unknown task ''"),
        ([["liver"]], "unknown task"),
    ],
)
def test_several_tasks_that_cannot_be_done_together_are_refused(table, words, message):
    with pytest.raises(ValueError, match=message):
        table.select(words)


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
    with pytest.raises(ValueError, match="cannot share a run"):
        table.select("all_ct")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("no json", "tasks.json"),
        ('{"tasks": []}', "at least one task"),
        ('{"tasks": [{"name": "a"}]}', "lacks the field 'channels'"),
        ('{"extends": "other", "tasks": []}', "the tables to extend are uniseg, open"),
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


def entry(**more):
    return {"name": "a", "channels": ["CT", "PET"], "spacing": [1, 1, 1], "classes": ["b"], **more}


def test_ct_is_scaled_by_the_official_window_and_other_channels_to_z_scores_unless_told():
    ct, pet = TaskTable([entry()]).tasks[0].scaling
    assert (ct.scaled(-1000), ct.scaled(0), ct.scaled(400)) == (0, 0.5, 1) and pet.scheme == "z_score"
    own = {"scheme": "percentiles", "low": -100, "high": 200, "mean": 50, "std": 25}
    assert TaskTable([entry(scaling=[own, own])]).tasks[0].scaling[1].scaled(300) == 6


def test_only_brain_mr_is_trained_with_a_mask_that_prediction_leaves_out(table):
    assert {task.name: task.mask for task in table if task.mask != "never"} == {"brain_tumour": "training"}


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ({"values": [0]}, r"values \(0,\): expected whole numbers from 1 to 255"),
        ({"values": [256]}, r"values \(256,\)"),
        ({"values": [1, 2]}, r"has 1 classes and 2 values: give one per class"),
        ({"values": [1.5]}, r"values \(1.5,\)"),
        ({"axes": "axial"}, "axes 'axial'.*anatomical, acquisition"),
        ({"mask": "sometimes"}, "mask 'sometimes'.*never, training, always"),
        ({"mirror_axes": [3]}, r"mirror_axes \[3\]"),
        ({"scaling": [{"scheme": "z_score"}]}, "scaling for 1 channels, it reads 2"),
        ({"scaling": [{"scheme": "window"}, {"scheme": "z_score"}]}, "window with low, high"),
        ({"scaling": [{"scheme": "window", "low": 1, "high": 1}, {"scheme": "z_score"}]}, "low must be below high"),
        ({"scaling": [{"scheme": "log"}, {"scheme": "z_score"}]}, "'log'"),
        ({"channels": "CT"}, r"channels 'CT': expected a list, as \[\"CT\"\]"),
        ({"classes": "liver"}, r"classes 'liver': expected a list, as \[\"liver\"\]"),
        ({"classes": [1]}, r"classes \[1\]: expected a list of texts"),
        ({"channels": ["CT", ""]}, r"channels \['CT', ''\]: expected a list of texts"),
        ({"spacing": "123"}, "spacing '123': expected a list"),
        ({"spacing": [1, 1, float("nan")]}, "expected three positive numbers"),
        ({"spacing": [1, 1, float("inf")]}, "expected three positive numbers"),
        ({"spacing": ["1", 1, 1]}, "expected three positive numbers"),
        ({"spacing": [True, 1, 1]}, "expected three positive numbers"),
        ({"values": "7"}, "values '7': expected a list"),
        ({"values": [True]}, r"values \(True,\): expected whole numbers"),
        ({"mirror_axes": [2, 2]}, r"mirror_axes \[2, 2\]: expected any of .*, each once"),
        ({"mirror_axes": [True]}, r"mirror_axes \[True\]"),
        ({"mirror_axes": "2"}, "mirror_axes '2': expected a list"),
        ({"scaling": "window"}, "scaling 'window': expected a list"),
        ({"scaling": ["window", "z_score"]}, "scaling window: expected one of window with low, high"),
        (
            {"scaling": [{"scheme": "window", "low": "-1", "high": "1"}, {"scheme": "z_score"}]},
            "expected finite numbers for low, high",
        ),
        (
            {"scaling": [{"scheme": "window", "low": 0, "high": float("inf")}, {"scheme": "z_score"}]},
            "expected finite numbers for low, high",
        ),
    ],
)
def test_a_way_to_see_scans_that_there_is_not_is_refused(field, message):
    with pytest.raises(ValueError, match=message):
        TaskTable([entry(**field)])


def test_tasks_that_order_axes_differently_cannot_share_a_pass():
    entries = [entry(), entry(name="c", classes=["d"], axes="acquisition")]
    with pytest.raises(ValueError, match="one spacing, order of axes and scaling"):
        TaskTable(entries).select("all_ct_pet")


def test_the_open_table_has_five_tasks_over_ct_mr_and_pet(tmp_path):
    table = load_task_table("open")
    assert [task.name for task in table] == ["hippocampus", "left_atrium", "left_ventricle", "head_neck", "sarcoma"]
    assert (table.in_channels, table.out_channels, list(table.labels)) == ([1, 2], 5, list(range(10)))
    assert {task.name for task in table if task.axes == "acquisition"} == {"left_ventricle"}
    (tmp_path / "more.json").write_text(json.dumps({"extends": "open", "tasks": [entry()]}))
    assert len(load_task_table(tmp_path / "more.json")) == 6


@pytest.mark.parametrize(
    ("task", "size"), [("liver", 11), ("all_ct", 11), ("sarcoma", 5), ("livr", 11), (None, 11), (3, 11)]
)
def test_a_task_is_looked_for_in_the_official_table_first(task, size):
    assert len(shipped_table(task)) == size


def test_the_table_imports_no_torch():
    code = "import sys, uniseg_nets.tasks; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_task_whose_name_is_a_number_is_found_by_it():
    table = TaskTable([entry(name="2024"), entry(name="c", classes=["d"])])
    assert [table.one(word).id for word in ("2024", 2024, 0, "1")] == [0, 0, 0, 1]
    with pytest.raises(ValueError, match="task id 2 does not exist"):
        table.one(2)


def test_a_task_named_like_another_one_s_id_is_refused():
    with pytest.raises(ValueError, match="task name '0' is the id of another task"):
        TaskTable([entry(), entry(name="0", classes=["d"])])
    assert TaskTable([entry(name="0")]).one("0").id == 0
    with pytest.raises(ValueError, match="task name is 2024, expected a text"):
        TaskTable([entry(name=2024)])


def test_after_the_highest_value_tasks_get_the_lowest_free_ones():
    first, second = entry(values=[2]), entry(name="c", classes=["d"])
    assert [task.values for task in TaskTable([first, second])] == [(2,), (3,)]
    third = entry(name="e", classes=["f", "g"])
    assert [task.values for task in TaskTable([entry(values=[255]), entry(name="c", values=[2]), third])][2] == (1, 3)
    many = entry(classes=[f"class {index}" for index in range(254)])
    with pytest.raises(ValueError, match="'e' has 2 classes, and of the label values 1 to 255 only 1 are free"):
        TaskTable([many, third])


def test_two_tasks_may_have_a_class_of_one_name():
    ct, mr = entry(channels=["CT"], classes=["liver"]), entry(name="mr", channels=["MR"], classes=["liver", "spleen"])
    assert TaskTable([ct, mr]).labels == {0: "background", 1: "liver", 2: "liver", 3: "spleen"}


@pytest.mark.parametrize(("spacing", "anisotropic"), [([3, 1, 1], False), ([1, 3.01, 1], True), ([4, 4, 1], True)])
def test_a_task_is_anisotropic_above_three_to_one(spacing, anisotropic):
    assert TaskTable([entry(spacing=spacing)]).tasks[0].anisotropic is anisotropic


def test_a_label_value_of_two_tasks_is_refused():
    with pytest.raises(ValueError, match="label value 7 occurs more than once"):
        TaskTable([entry(values=[7]), entry(name="c", values=[7])])


@pytest.mark.parametrize(
    "task, table",
    [
        ("liver", "uniseg"),
        ("all_ct", "uniseg"),
        ("liver,spleen", "uniseg"),
        (3, "uniseg"),
        (None, "uniseg"),
        ("hippocampus", "open"),
        (["left_atrium"], "open"),
        ("hipocampus", "open"),
        ("livr", "uniseg"),
        ("nothing like it", "uniseg"),
    ],
)
def test_a_task_s_table_is_found_by_its_name(task, table):
    assert table_of(task) == table
