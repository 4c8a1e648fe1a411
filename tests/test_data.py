import json
from pathlib import Path

import numpy as np
import pytest
from monai.bundle import ConfigParser

from tests.dicom_files import write_slice
from uniseg_nets.bundle.choose import ChosenInference
from uniseg_nets.bundle.run import merged_config
from uniseg_nets.data import FaultTolerantDataset, find_cases, load_datalist, with_task
from uniseg_nets.io.bundles import INFERENCE, bundle_folder, bundle_root
from uniseg_nets.io.series import dicom_files, find_series
from uniseg_nets.phantom import write_phantom_tasks
from uniseg_nets.tasks import TaskTable


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def names(cases):
    return [case["name"] for case in cases]


def test_an_nnunet_folder_gives_its_test_images_with_all_channels(tmp_path):
    touch(tmp_path, "imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz", "dataset.json")
    touch(
        tmp_path, "imagesTs/b_0000.nii.gz", "imagesTs/b_0001.nii.gz", "imagesTs/c_0000.nii.gz", "imagesTs/c_0001.nii.gz"
    )
    cases = find_cases(tmp_path)
    assert names(cases) == ["b", "c"]
    assert [path[-11:] for path in cases[0]["image"]] == ["0000.nii.gz", "0001.nii.gz"]


def test_without_test_images_the_training_ones_are_taken_and_no_label(tmp_path):
    touch(tmp_path, "imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz")
    assert names(find_cases(tmp_path)) == ["a"]


def test_a_number_that_belongs_to_the_name_stays(tmp_path):
    touch(tmp_path, "liver_0007_0000.nii.gz", "liver_0008_0000.nii.gz")
    assert names(find_cases(tmp_path)) == ["liver_0007", "liver_0008"]


def test_a_plain_folder_is_searched_with_its_sub_folders(tmp_path):
    touch(tmp_path, "x2.nii.gz", "x10.nrrd", "sub/y.mha", ".hidden/z.nii.gz", "notes.txt")
    assert names(find_cases(tmp_path)) == ["x2", "x10", "y"]


def test_the_same_name_in_two_folders_is_told_apart(tmp_path):
    touch(tmp_path, "p1/ct.nii.gz", "p2/ct.nii.gz")
    assert names(find_cases(tmp_path)) == ["p1_ct", "p2_ct"]


def test_two_scans_of_one_name_in_one_folder_are_refused(tmp_path):
    touch(tmp_path, "ct.nii.gz", "ct.nrrd")
    with pytest.raises(ValueError, match=r"'ct' belongs to several scans .*ct\.nii\.gz.*ct\.nrrd"):
        find_cases(tmp_path)


@pytest.mark.parametrize("twin", ["ct.nii.gz", "ct_0000.nrrd", "ct/1.dcm"])
def test_a_scan_and_a_channel_of_one_name_are_not_taken_for_two_channels(tmp_path, twin):
    touch(tmp_path, twin, "ct_0000.nii.gz")
    with pytest.raises(ValueError, match=r"'ct' belongs to several scans .*ct.*ct_0000"):
        find_cases(tmp_path)


def test_a_channel_is_segmented_without_the_scan_of_its_name(tmp_path):
    touch(tmp_path, "ct.nii.gz", "ct_0000.nii.gz")
    assert find_cases(tmp_path / "ct_0000.nii.gz") == [{"name": "ct", "image": [str(tmp_path / "ct_0000.nii.gz")]}]


def test_dicom_folders_are_cases(tmp_path):
    touch(tmp_path, "p1/1.dcm", "p1/2.dcm")
    (tmp_path / "p2").mkdir()
    (tmp_path / "p2" / "IM0001").write_bytes(b"\0" * 128 + b"DICM")
    cases = find_cases(tmp_path)
    assert names(cases) == ["p1", "p2"] and cases[1]["image"] == [str(tmp_path / "p2")]
    assert names(find_cases(tmp_path / "p1")) == ["p1"]


def test_a_disc_with_its_index_is_one_case(tmp_path):
    touch(tmp_path, "disc/AUTORUN.INF", "disc/DICOMDIR", "disc/DICOM/S1/IM1.dcm", "disc/DICOM/S2/IM1.dcm")
    for source in (tmp_path, tmp_path / "disc"):
        (case,) = find_cases(source)
        assert case == {"name": "disc", "image": [str(tmp_path / "disc")]}


def test_stray_files_hide_no_dicom_series(tmp_path):
    touch(tmp_path, "p1/A.TXT", "p1/B.INF", "p1/C.EXE", "p1/IM1.dcm")
    assert names(find_cases(tmp_path)) == ["p1"]


def test_a_stray_dicom_file_hides_no_patients_in_folders_below_it(tmp_path, caplog):
    touch(tmp_path, "in/stray.dcm", "in/p1/1.dcm", "in/p1/2.dcm", "in/p2/a/1.dcm", "in/p2/b/1.dcm", "in/p3.txt")
    touch(tmp_path, "in/p4/ct.nii.gz", "in/in/1.dcm")
    with pytest.raises(ValueError, match=r"'in' belongs to several scans"):
        find_cases(tmp_path / "in")
    (tmp_path / "in" / "in").rename(tmp_path / "in" / "p5")
    cases = find_cases(tmp_path / "in")
    assert names(cases) == ["a", "b", "in", "p1", "p5"]
    assert (
        "left out 1 files below folders with DICOM files" in caplog.text and "p4/ct.nii.gz; to segment" in caplog.text
    )
    assert cases[2]["image"] == [str(tmp_path / "in")] and dicom_files(tmp_path / "in") == [
        tmp_path / "in" / "stray.dcm"
    ]


def test_a_label_map_in_a_folder_below_a_dicom_series_is_no_scan(tmp_path, caplog):
    touch(tmp_path, "in/p1/1.dcm", "in/p1/seg/manual_liver.nii.gz", "in/p1/seg/notes.txt", "in/p1/localizer/1.dcm")
    touch(tmp_path, "in/p1/late/1.dcm", "in/p1/late/late.nii.gz", "in/p2/ct.nii.gz")
    cases = find_cases(tmp_path / "in")
    assert names(cases) == ["ct", "late", "localizer", "p1"]
    assert cases[1]["image"] == [str(tmp_path / "in" / "p1" / "late")]
    assert "left out 1 files below" in caplog.text and "seg/manual_liver.nii.gz" in caplog.text
    assert names(find_cases(tmp_path / "in" / "p1" / "seg")) == ["manual_liver"]


def test_a_folder_with_series_in_sub_folders_is_not_one_scan_for_a_file(tmp_path, uniseg, caplog):
    touch(tmp_path, "p1/1.dcm", "p1/localizer/1.dcm")
    assert uniseg("segment", tmp_path / "p1", tmp_path / "OUT.nii.gz", "--task=liver", "--weights=demo") != 0
    assert "p1 holds 2 cases (localizer, p1): name an output folder instead of" in caplog.text


def test_a_link_back_to_a_folder_that_is_being_searched_is_not_followed(tmp_path):
    touch(tmp_path, "in/a.nii.gz", "in/sub/b.nii.gz", "in/.v2/c.nii.gz", "other/d.nii.gz")
    for link, target in {"latest": ".", "sub/up": "..", "current": ".v2", "more": "../other", "more/back": "."}.items():
        (tmp_path / "in" / link).symlink_to(target)
    assert names(find_cases(tmp_path / "in")) == ["a", "b", "c", "d"]


@pytest.fixture
def unreadable(monkeypatch):
    """Files of these names, and folders, cannot be read, as by another user."""

    def forbid(*forbidden):
        def guarded(method):
            def call(path, *args, **kwargs):
                if path.name in forbidden:
                    raise PermissionError(13, "Permission denied", str(path))
                return method(path, *args, **kwargs)

            return call

        monkeypatch.setattr(Path, "open", guarded(Path.open))
        monkeypatch.setattr(Path, "iterdir", guarded(Path.iterdir))

    return forbid


def test_what_cannot_be_read_is_named_and_stops_no_search(tmp_path, unreadable, caplog):
    touch(tmp_path, "core", "a.nii.gz", "p1/1.dcm", "lost+found/b.nii.gz")
    (tmp_path / "gone").symlink_to("nowhere")
    (tmp_path / "g.nii.gz").symlink_to("nowhere")
    unreadable("core", "lost+found", "a.nii.gz")
    assert names(find_cases(tmp_path)) == ["a", "g", "p1"]  # reading a and g tells why not
    assert "skipped 2 files that are no scans: core, gone" in caplog.text
    assert "left out a folder that cannot be searched" in caplog.text and "lost+found" in caplog.text


@pytest.mark.parametrize("last", ["forbidden", "gone"])
def test_a_slice_that_cannot_be_read_is_not_taken_for_a_file_that_is_none(tmp_path, unreadable, last):
    for z in range(4):
        write_slice(tmp_path / "p1" / f"IM{z}", np.zeros((4, 4)), "CT", (0, 0, z), (1, 1, 1))
    assert len(find_series(tmp_path / "p1").frames) == 4
    if last == "forbidden":
        unreadable("IM3")
    else:
        (tmp_path / "p1" / "IM3").unlink()
        (tmp_path / "p1" / "IM3").symlink_to("nowhere")
    assert names(find_cases(tmp_path)) == ["p1"]
    assert tmp_path / "p1" / "IM3" in dicom_files(tmp_path / "p1")
    if last == "gone":
        with pytest.raises(ValueError, match=r"IM3 cannot be read as DICOM"):
            find_series(tmp_path / "p1")


def test_an_earlier_result_of_a_name_that_changed_is_named(tmp_path, caplog):
    touch(tmp_path, "in/p1/ct.nii.gz", "in/t1.nii.gz", "in/p1/t1.nii.gz", "out/ct.json", "out/t1.json")
    assert names(find_cases(tmp_path / "in", tmp_path / "out")) == ["ct", "p1_t1", "t1"] and not caplog.text
    touch(tmp_path, "in/p2/ct.nii.gz")
    assert names(find_cases(tmp_path / "in", tmp_path / "out")) == ["p1_ct", "p1_t1", "p2_ct", "t1"]
    assert "scans in several sub-folders are called ct, so that their cases are" in caplog.text
    assert f"{tmp_path / 'out'} has an earlier result of that name, which stays" in caplog.text


def test_a_dicom_file_beside_nifti_scans_hides_none_of_them(tmp_path, caplog):
    touch(tmp_path, "a.dcm", "a.nii.gz", "b.nii.gz")
    assert names(find_cases(tmp_path)) == ["a", "b"] and "skipped 1 files that are no scans: a.dcm" in caplog.text


def test_results_inside_the_folder_are_no_scans(tmp_path):
    touch(tmp_path, "a.nii.gz", "results/a.nii.gz", "results/a.json")
    assert names(find_cases(tmp_path, tmp_path / "results")) == ["a"]


def test_results_among_the_scans_are_refused(tmp_path):
    touch(tmp_path, "a.nii.gz")
    with pytest.raises(ValueError, match="choose another output folder"):
        find_cases(tmp_path, tmp_path)


def test_a_single_file_brings_its_other_channels(tmp_path):
    touch(tmp_path, "a_0000.nii.gz", "a_0001.nii.gz", "b_0000.nii.gz")
    (case,) = find_cases(tmp_path / "a_0000.nii.gz")
    assert case["name"] == "a" and len(case["image"]) == 2


def test_a_datalist_gives_its_first_section_to_segment(tmp_path, caplog):
    caplog.set_level("INFO")
    content = {"training": [{"image": "t.nii.gz"}], "testing": [{"image": ["a_0000.nii.gz", "a_0001.nii.gz"]}]}
    (tmp_path / "datalist.json").write_text(json.dumps(content))
    for source in (tmp_path, tmp_path / "datalist.json"):
        (case,) = find_cases(source)
        assert case["name"] == "a" and case["image"][1] == str(tmp_path / "a_0001.nii.gz")
        assert "its section 'testing' alone is segmented, not training" in caplog.text


@pytest.fixture
def datalist(tmp_path):
    """Writes a datalist of cases that are called after their tasks, and ``bare``, which names none."""

    def write(*tasks):
        cases = [{"name": str(task), "image": f"{task}.nii.gz", "task": task} for task in tasks]
        content = {"testing": [*cases, {"name": "bare", "image": "bare.nii.gz"}]}
        (tmp_path / "datalist.json").write_text(json.dumps(content))
        return tmp_path / "datalist.json"

    return write


@pytest.mark.parametrize(
    ("task", "taken"),
    [
        ("liver", ["0", "bare", "liver"]),
        (0, ["0", "bare", "liver"]),
        ("liver,spleen", ["0", "bare", "liver", "spleen"]),
        (["spleen", "liver"], ["0", "bare", "liver", "spleen"]),
        ("all_ct", ["0", "all_ct", "bare", "liver", "spleen"]),
    ],
)
def test_a_datalist_of_several_tasks_is_not_segmented_without_a_word(datalist, table, caplog, task, taken):
    caplog.set_level("INFO")
    cases = find_cases(datalist("liver", 0, "spleen", "prostate", "all_ct"), None, table, task)
    assert names(cases) == taken and not any("task" in case for case in cases)
    assert f"{len(taken)} of 6 cases; the others are of " in caplog.text and "prostate" in caplog.text


def test_a_case_whose_task_is_null_names_none(tmp_path, table):
    (tmp_path / "list.json").write_text(json.dumps({"testing": [{"image": "a.nii.gz", "task": None}]}))
    assert names(find_cases(tmp_path / "list.json", None, table, "liver")) == ["a"]


@pytest.mark.parametrize(
    ("named", "taken"),
    [(["liver"], True), (["spleen", 0], True), ("liver,spleen", True), ("liver ", True), ("prostate, lung", False)],
)
def test_a_case_is_taken_if_one_of_its_tasks_is_chosen(tmp_path, table, named, taken):
    cases = [{"image": "a.nii.gz", "task": named}, {"image": "b.nii.gz"}]
    (tmp_path / "list.json").write_text(json.dumps({"testing": cases}))
    for task in ("liver", "liver,spleen"):
        found = names(find_cases(tmp_path / "list.json", None, table, task))
        assert found == (["a", "b"] if taken else ["b"])


def test_a_case_of_several_tasks_trains_none_of_them():
    cases = [{"name": "a", "task": "liver,spleen"}, {"name": "b", "task": "liver "}]
    assert names(with_task(cases, "liver")) == ["b"]


def test_a_calibration_uses_the_cases_of_its_task(datalist, uniseg, monkeypatch):
    calibrated = []
    monkeypatch.setattr(
        "uniseg_nets.bundle.calibrate.calibrate_int8", lambda scans, *_, **__: calibrated.extend(scans) or 1.0
    )
    assert uniseg("calibrate", datalist("spleen", "liver"), "--task=liver", "--weights=demo") == 0
    assert [Path(file).name for (file,) in calibrated] == ["bare.nii.gz", "liver.nii.gz"]


def test_a_datalist_without_a_case_of_the_task_is_refused(datalist, table, tmp_path, uniseg, caplog):
    listed = json.loads(datalist("spleen", "prostate").read_text())["testing"][:2]
    (tmp_path / "two.json").write_text(json.dumps({"testing": listed}))
    message = r"two.json: 'testing' has no case of the task 'liver': its cases name prostate, spleen"
    with pytest.raises(ValueError, match=message):
        find_cases(tmp_path / "two.json", None, table, "liver")
    assert uniseg("segment", tmp_path / "two.json", tmp_path / "out", "--task=liver", "--weights=demo") == 1
    assert "no case of the task 'liver'" in caplog.text and not (tmp_path / "out").exists()


def test_a_network_of_one_task_takes_the_cases_of_the_datalist_that_it_was_planned_from(datalist, caplog):
    entry = {"name": "my_data", "channels": ["CT"], "spacing": [1, 1, 1], "classes": ["spleen"]}
    mine = TaskTable([entry])
    assert names(find_cases(datalist("spleen"), None, mine, "my_data")) == ["bare", "spleen"]
    assert "all cases are segmented as 'my_data', the network's one task; they name spleen" in caplog.text
    assert names(find_cases(datalist("my_data", "liver"), None, mine, 0)) == ["bare", "my_data"]
    assert names(find_cases(datalist("spleen", "liver"), None, mine, "my_data")) == ["bare"]


def test_a_datalist_that_is_searched_for_later_jobs_keeps_its_tasks(datalist):
    assert [case.get("task") for case in find_cases(datalist("spleen", "liver"))] == [None, "liver", "spleen"]


@pytest.mark.parametrize("bundle", ["uniseg_upstream", "uniseg_finetune", "unetr_prompt_tuning"])
def test_a_bundle_s_run_selects_the_cases_of_its_task(datalist, bundle):
    root = bundle_root(bundle)
    overlay = {"bundle_root": str(root), "dataset_dir": str(datalist("liver", "custom", "head_neck_tumour", "x"))}
    parser = ConfigParser(merged_config(root / INFERENCE, overlay))
    own = {"uniseg_upstream": "liver", "uniseg_finetune": "custom", "unetr_prompt_tuning": "head_neck_tumour"}[bundle]
    assert names(parser.get_parsed_content("cases")) == sorted(["bare", own])
    chosen = ChosenInference(root, **{} if bundle != "uniseg_upstream" else {"task": "liver", "weights": "demo"})
    table, task = chosen.tasks()
    assert table.one(task).name == own


def test_a_decathlon_dataset_json_lists_its_test_files(tmp_path):
    (tmp_path / "dataset.json").write_text(json.dumps({"training": [], "test": ["./imagesTs/a.nii.gz"]}))
    assert names(find_cases(tmp_path / "dataset.json")) == ["a"]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda f: None, FileNotFoundError, "no scan in"),
        (lambda f: touch(f, "notes.txt"), FileNotFoundError, "no scan in"),
        (lambda f: (f / "datalist.json").write_text("{"), ValueError, "datalist.json is no JSON"),
        (lambda f: (f / "datalist.json").write_text("[]"), ValueError, "expected an object"),
        (lambda f: (f / "datalist.json").write_text("{}"), ValueError, "has no cases"),
    ],
)
def test_a_folder_without_cases_says_so(tmp_path, make, error, message):
    make(tmp_path)
    with pytest.raises(error, match=message):
        find_cases(tmp_path)


def test_what_is_not_there_or_no_scan_is_refused(tmp_path):
    touch(tmp_path, "report.pdf")
    with pytest.raises(FileNotFoundError, match="no file or folder"):
        find_cases(tmp_path / "none")
    with pytest.raises(ValueError, match=r"report\.pdf is no scan"):
        find_cases(tmp_path / "report.pdf")


def test_datalist_paths_become_absolute_and_the_rest_stays(tmp_path):
    path = tmp_path / "d.json"
    path.write_text(json.dumps({"training": [{"image": ["i.nii"], "label": "l.nii", "task": "liver", "fold": 2}]}))
    (case,) = load_datalist(path, "training")
    assert case == {
        "name": "i",
        "image": [str(tmp_path / "i.nii")],
        "label": str(tmp_path / "l.nii"),
        "task": "liver",
        "fold": 2,
    }
    assert load_datalist(path, "training", "/elsewhere")[0]["label"] == "/elsewhere/l.nii"
    with pytest.raises(ValueError, match="no list 'validation'; it has training"):
        load_datalist(path, "validation")


def test_an_image_of_a_training_that_its_validation_has_too_is_refused(tmp_path):
    path = tmp_path / "datalist.json"
    sections = {"training": [{"image": ["a.nii", "b.nii"]}, {"image": "c.nii"}], "validation": [{"image": "./b.nii"}]}
    path.write_text(json.dumps(sections))
    assert len(load_datalist(path, "training")) == len(load_datalist(path, "training", apart="testing")) == 2
    with pytest.raises(
        ValueError, match=r"1 images in 'training' and in 'validation', where .* no test: a: leave each"
    ):
        load_datalist(path, "training", apart="validation")
    path.write_text(json.dumps(sections | {"validation": [{"image": "d.nii"}]}))
    assert len(load_datalist(path, "training", apart="validation")) == 2


@pytest.mark.parametrize("bundle", ["uniseg_upstream", "unetr_prompt_tuning", "esp_medsam_2d"])
def test_the_trainings_of_a_datalist_have_their_validation_apart(bundle):
    config = json.loads((bundle_folder(bundle) / "configs" / "train.json").read_text())
    assert config["train"]["cases"]["apart"] == config["validate"]["cases"]["section"] == "validation"


def test_a_datalist_entry_without_image_is_named(tmp_path):
    path = tmp_path / "d.json"
    path.write_text(json.dumps({"training": [{"image": "a"}, {"label": "b"}]}))
    with pytest.raises(ValueError, match="entry 1 of 'training' has no image"):
        load_datalist(path, "training")


def test_an_earlier_run_s_output_among_the_scans_is_not_segmented(tmp_path):
    record = json.dumps({"versions": {"uniseg_nets": "0"}, "label_map": "a.nii.gz"})
    touch(tmp_path, "in/a_0000.nii.gz", "in/out/a.nii.gz", "in/out/a.dcm", "in/out/report/a.png", "in/b.nii.gz")
    (tmp_path / "in" / "out" / "a.json").write_text(record)
    (tmp_path / "in" / "b.json").write_text('{"RepetitionTime": 2}')  # a user's own
    assert names(find_cases(tmp_path / "in", tmp_path / "new")) == ["a", "b"]


def test_relative_paths_are_those_of_the_working_directory_at_the_time(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    touch(tmp_path, "in/a.nii.gz")
    (tmp_path / "in.json").write_text('{"training": [{"image": "in/a.nii.gz"}]}')
    expected = str(tmp_path / "in" / "a.nii.gz")
    for source in ("in", "in/a.nii.gz", "in.json"):
        (case,) = find_cases(source)
        assert case["image"] == [expected]
    assert load_datalist("in.json", "training", ".")[0]["image"] == expected


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (None, "has no image"),
        (7, "has image 7, expected a file, or a list of files"),
        ({"image": ["a.nii", ""]}, r"has image \['a.nii', ''\]"),
        ({"image": "a.nii", "label": None}, "has label None"),
        ({"image": "a.nii", "name": "../a"}, "has the name '../a', expected a name without folders"),
        ({"image": "a.nii", "name": ""}, "has the name ''"),
        ({"image": "a.nii", "name": ".."}, "has the name '..', expected a name without folders"),
        ({"image": "a.nii", "name": None}, "has the name None"),
        ({"image": "a.nii", "name": ["a"]}, r"has the name \['a'\]"),
    ],
)
def test_an_entry_that_is_no_case_is_refused_by_its_number(tmp_path, entry, message):
    path = tmp_path / "d.json"
    path.write_text(json.dumps({"training": ["b.nii", entry]}))
    with pytest.raises(ValueError, match=f"d.json: entry 1 of 'training' {message}"):
        load_datalist(path, "training")


def test_a_name_that_is_a_number_in_the_datalist_is_a_text_in_the_case(tmp_path):
    path = tmp_path / "in.json"
    path.write_text(json.dumps({"training": [{"name": 5, "image": "5.nii"}]}))
    assert load_datalist(path, "training")[0]["name"] == "5"


def test_a_guarded_case_that_fails_becomes_its_message():
    def transform(case):
        if case["name"] == "bad":
            raise ValueError("broken file")
        return case

    dataset = FaultTolerantDataset([{"name": "good"}, {"name": "bad"}], transform)
    assert dataset[0] == {"name": "good"}
    assert dataset[1] == {"name": "bad", "error": "broken file"}


def test_cases_are_sorted_as_people_count(tmp_path):
    touch(tmp_path, *(f"case{i}.nii.gz" for i in np.random.default_rng(0).permutation(12)))
    assert names(find_cases(tmp_path)) == [f"case{i}" for i in range(12)]


def test_a_task_selects_its_cases_and_is_given_to_those_that_name_none(tmp_path, caplog):
    path = tmp_path / "datalist.json"
    entries = [{"image": "a.nii.gz"}, {"image": "b.nii.gz", "task": "lung"}, {"image": "c.nii.gz", "task": "liver"}]
    path.write_text(json.dumps({"validation": entries, "testing": entries[1:2]}))

    def loaded(**options):
        return [(case["name"], case.get("task")) for case in load_datalist(path, "validation", **options)]

    with caplog.at_level("INFO"):
        assert loaded(task="liver") == [("a", "liver"), ("c", "liver")]
    assert "task liver: 2 of 3 cases; the others are of lung" in caplog.text
    assert loaded(task=0) == [("a", 0)]
    assert loaded() == [("a", None), ("b", "lung"), ("c", "liver")]
    with pytest.raises(ValueError, match=r"datalist.json: 'testing' has no case of the task 'liver': .* name lung"):
        load_datalist(path, "testing", task="liver")
    menu = ["liver", "lung"]  # no choice
    with pytest.raises(ValueError, match=r'datalist.json: no task for a: add "task" to each case, or give --task'):
        load_datalist(path, "validation", task=menu, menu=menu)


@pytest.mark.parametrize("several", [("liver", "colon"), ["colon", "liver"], "liver,colon"])
def test_several_tasks_select_their_cases_and_a_menu_selects_none(several):
    cases = [{"name": name, "task": name} for name in ("liver", "lung", "colon")]
    menu = ["liver", "lung", "colon"]
    assert [case["name"] for case in with_task(cases, several, menu)] == ["liver", "colon"]
    assert with_task(cases, menu, menu) == with_task(cases, None, menu) == cases
    with pytest.raises(ValueError, match="no case of the task 'spleen, kidney': its cases name colon, liver, lung"):
        with_task(cases, ("spleen", "kidney"), menu)
    with pytest.raises(ValueError, match='no task for a: add "task" to each case, or choose one task'):
        with_task([*cases, {"name": "a"}], several, menu)


def test_one_channel_is_written_as_a_string_and_several_as_a_list(tmp_path, table):
    path = write_phantom_tasks(tmp_path, [table.one("prostate"), table.one("whole_body_tumour")], 1)
    one, two = json.loads(path.read_text())["training"]
    assert one["image"] == "prostate/imagesTr/prostate_0000_0000.nii.gz" and len(two["image"]) == 2
    assert [len(case["image"]) for case in find_cases(path)] == [1, 2]
