import json
import shutil

import nibabel as nib
import numpy as np
import pytest

from uniseg_nets.data import fold_cases
from uniseg_nets.data.groups import group_of
from uniseg_nets.phantom import write_phantoms
from uniseg_nets.plan import PlanOptions, plan_dataset
from uniseg_nets.plan.choose import choose_patch, choose_spacing, looks_like_hounsfield
from uniseg_nets.plan.fingerprint import extract_fingerprint
from uniseg_nets.plan.layouts import read_layout
from uniseg_nets.plan.slot import check_slot, nearest_slot
from uniseg_nets.tasks import TaskTable, load_task_table
from uniseg_nets.transforms import LoadCased, PreprocessCased

AFFINE = np.diag([1.5, 1.5, 3.0, 1.0])


def write_case(folder, name, values=(0, 50, 100), seed=0, channels=("t1", "t2"), size=(40, 36, 20), low=0.0):
    """One sub-folder a case: channels and a label map with boxes of the values."""
    rng = np.random.default_rng(seed)
    label = np.zeros(size, np.uint8)
    for index, value in enumerate(values):
        label[4 * index : 4 * index + 4, :8, :8] = value
    place = folder / name
    place.mkdir(parents=True)
    for channel in channels:
        image = rng.normal(100, 20, size).astype(np.float32)
        image[0, 0, 0] = low
        nib.save(nib.Nifti1Image(image, AFFINE), place / f"{channel}.nii.gz")
    nib.save(nib.Nifti1Image(label, AFFINE), place / "seg.nii.gz")
    return place


@pytest.fixture
def patients(tmp_path):
    """A layout, values and channels that nothing in the code knows."""
    for index in range(4):
        write_case(tmp_path / "data", f"patient{index}", seed=index)
    return tmp_path / "data"


def test_a_folder_a_case_with_values_of_its_own(patients, tmp_path):
    plan = plan_dataset(patients, tmp_path / "plan.json", PlanOptions(folds=2))
    assert plan["task_entry"] == {
        "name": "data",
        "channels": ["t1", "t2"],
        "spacing": [3.0, 1.5, 1.5],
        "classes": ["class_50", "class_100"],
        "values": [50, 100],
        "axes": "anatomical",
        "scaling": [{"scheme": "z_score"}, {"scheme": "z_score"}],
        "mask": "never",
        "mirror_axes": [0, 1, 2],
    }
    assert plan["patch_size"] == [32, 64, 64]
    assert plan["fingerprint"]["classes"]["class_50"]["cases"] == 4
    assert json.loads((tmp_path / "plan.json").read_text()) == plan
    held = [fold_cases(plan["data"], patients, "data", fold, validation=True) for fold in range(2)]
    assert sorted(case["name"] for fold in held for case in fold) == [f"patient{index}" for index in range(4)]
    train = fold_cases(plan["data"], patients, "data", 0)
    assert {case["name"] for case in train} == {case["name"] for case in held[1]}
    assert train[0]["image"] == [str(patients / train[0]["name"] / f"{channel}.nii.gz") for channel in ("t1", "t2")]


def test_names_for_values_and_channels_come_from_the_user(patients, tmp_path):
    options = PlanOptions(labels={50: "organ", 100: "lesion"}, channels=["CT", "PET"], name="mine")
    entry = plan_dataset(patients, tmp_path / "plan.json", options)["task_entry"]
    assert (entry["name"], entry["classes"], entry["channels"]) == ("mine", ["organ", "lesion"], ["CT", "PET"])


@pytest.mark.parametrize("scheme", ["percentiles", "window"])
def test_ct_is_scaled_by_its_labelled_voxels_or_by_the_official_window(patients, tmp_path, scheme):
    options = PlanOptions(channels=["CT", "PET"], ct_scaling=scheme)
    ct, pet = plan_dataset(patients, tmp_path / "plan.json", options)["task_entry"]["scaling"]
    assert pet == {"scheme": "z_score"} and ct["scheme"] == scheme
    if scheme == "window":
        assert (ct["low"], ct["high"]) == (-325, 325)
        return
    values = []
    for patient in sorted(patients.iterdir()):
        image, label = (nib.load(patient / f"{name}.nii.gz").get_fdata() for name in ("t1", "seg"))
        values.append(image[label > 0])
    values = np.concatenate(values)
    expected = dict(zip(("low", "high"), np.percentile(values, (0.5, 99.5)))) | {"mean": values.mean()}
    assert {key: ct[key] for key in expected} == pytest.approx(expected, abs=0.02)
    assert ct["std"] == pytest.approx(values.std(), abs=0.02)


@pytest.mark.parametrize(("inside", "mask"), [(26, "always"), (40, "never")])
def test_z_scores_count_non_zero_voxels_where_the_crop_takes_a_quarter_away(tmp_path, inside, mask):
    for index in range(2):
        place = write_case(tmp_path / "data", f"p{index}", seed=index, channels=("scan",))
        image = nib.load(place / "scan.nii.gz")
        volume = image.get_fdata(dtype=np.float32)
        volume[inside:] = 0  # of 40
        nib.save(nib.Nifti1Image(volume, AFFINE), place / "scan.nii.gz")
    entry = plan_dataset(tmp_path / "data", tmp_path / "plan.json", PlanOptions(channels=["MR"]))["task_entry"]
    assert entry["mask"] == mask


def test_classes_of_two_sides_are_written_down_as_not_to_be_mirrored(patients, tmp_path, caplog):
    caplog.set_level("INFO")
    options = PlanOptions(labels={50: "left_kidney", 100: "right_kidney"})
    entry = plan_dataset(patients, tmp_path / "plan.json", options)["task_entry"]
    assert entry["mirror_axes"] == [0, 1] and "no mirroring along x" in caplog.text


@pytest.mark.parametrize("wrong", [{"axes": "axial"}, {"ct_scaling": "hu"}])
def test_a_choice_that_there_is_not_is_refused_before_anything_is_read(wrong):
    with pytest.raises(ValueError, match="expected one of"):
        PlanOptions(**wrong)


@pytest.mark.parametrize("content", ['{"labels": {"background": 0}}', "no JSON"])
def test_a_plan_replaces_no_other_file(patients, tmp_path, content):
    (tmp_path / "dataset.json").write_text(content)
    with pytest.raises(ValueError, match=r"dataset\.json is there and is no plan: choose another file"):
        plan_dataset(patients, tmp_path / "dataset.json")
    assert (tmp_path / "dataset.json").read_text() == content


def test_a_plan_replaces_no_other_plan_and_itself_alone(patients, tmp_path):
    plan = plan_dataset(patients, tmp_path / "plan.json", PlanOptions(folds=2))
    written = (tmp_path / "plan.json").read_bytes()
    assert plan_dataset(patients, tmp_path / "plan.json", PlanOptions(folds=2)) == plan
    with pytest.raises(
        ValueError, match=r"plan\.json is there and is another plan, with other task_entry: nothing was"
    ):
        plan_dataset(patients, tmp_path / "plan.json", PlanOptions(folds=2, axes="acquisition"))
    assert (tmp_path / "plan.json").read_bytes() == written


def test_the_user_s_order_of_axes_is_taken(patients, tmp_path):
    plan = plan_dataset(patients, tmp_path / "plan.json", PlanOptions(axes="acquisition"))
    assert plan["task_entry"]["axes"] == "acquisition"


def test_plan_and_network_agree_on_the_slice_axis_of_every_scan(tmp_path, write_scan):
    """Ten stacks above 3 to 1, and one of 2 to 1, whose slices are stored first; the task has thick slices."""
    for index, edges in enumerate([*[(8, 1.25, 1.25)] * 10, (2.5, 1.25, 1.25)]):
        rng = np.random.default_rng(index)
        affine = np.diag([*edges, 1.0])
        write_scan(f"data/images/{index}.nii.gz", rng.normal(100, 20, (8, 30, 20)).astype(np.float32), affine)
        write_scan(f"data/labels/{index}.nii.gz", np.ones((8, 30, 20), np.uint8), affine)
    plan = plan_dataset(tmp_path / "data", tmp_path / "plan.json", PlanOptions(folds=2, axes="acquisition"))
    assert plan["task_entry"]["spacing"] == [8, 1.25, 1.25]
    assert plan["fingerprint"]["spacing_mm_zyx"]["min"] == [2.5, 1.25, 1.25]
    assert plan["fingerprint"]["size_at_plan_spacing_zyx"]["min"] == [round(8 * 2.5 / 8), 20, 30]
    tasks, file = TaskTable([plan["task_entry"]]), tmp_path / "data" / "images" / "10.nii.gz"
    done = PreprocessCased("image", tasks, 0)(LoadCased("image")({"image": file}))
    assert done["image"].shape[1:] == (round(8 * 2.5 / 8), 20, 30)


def test_hidden_files_are_no_scans(patients, tmp_path):
    for place in list(patients.iterdir()):
        for file in list(place.iterdir()):
            (place / f"._{file.name}").write_bytes(b"of macOS")
    assert [case["image"] for case in read_layout(patients).cases] == [
        [str(place / f"{channel}.nii.gz") for channel in ("t1", "t2")] for place in sorted(patients.iterdir())
    ]
    for folder in ("images", "labels"):
        shutil.copytree(patients / "patient0", tmp_path / "siblings" / folder)
    assert sorted(case["name"] for case in read_layout(tmp_path / "siblings").cases) == ["seg", "t1", "t2"]


@pytest.mark.parametrize("values", [50.0, np.nan])
def test_a_ct_without_a_range_of_values_in_its_structures_is_refused(tmp_path, values):
    for index in range(2):
        place = write_case(tmp_path / "data", f"p{index}", seed=index, channels=("ct",), low=-1000)
        image, label = nib.load(place / "ct.nii.gz"), nib.load(place / "seg.nii.gz").get_fdata()
        volume = np.where(label > 0, values, image.get_fdata()).astype(np.float32)
        nib.save(nib.Nifti1Image(volume, AFFINE), place / "ct.nii.gz")
    with pytest.raises(
        ValueError, match=r"channel 0 \(CT\): (no labelled voxel has|labelled voxels have values from 50)"
    ):
        plan_dataset(tmp_path / "data", tmp_path / "plan.json", PlanOptions(channels=["CT"]))
    assert not (tmp_path / "plan.json").exists()


def test_what_the_configs_would_refuse_is_not_written(patients, tmp_path):
    with pytest.raises(
        ValueError, match=r"data makes no task, no plan written: class name .* organ occurs more than once"
    ):
        plan_dataset(patients, tmp_path / "plan.json", PlanOptions(labels={50: "organ", 100: "organ"}))
    assert not (tmp_path / "plan.json").exists()


def test_sibling_folders_and_hounsfield_units_are_recognised(tmp_path):
    for index in range(2):
        place = write_case(tmp_path / "raw", f"p{index}", seed=index, channels=("scan",), low=-1000)
        for source, folder in (("scan", "images"), ("seg", "masks")):
            (tmp_path / "data" / folder).mkdir(parents=True, exist_ok=True)
            shutil.move(place / f"{source}.nii.gz", tmp_path / "data" / folder / f"p{index}.nii.gz")
    nib.save(nib.Nifti1Image(np.ones((4, 4, 4), np.float32), AFFINE), tmp_path / "data" / "images" / "alone.nii.gz")
    plan = plan_dataset(tmp_path / "data", tmp_path / "plan.json")
    assert plan["task_entry"]["channels"] == ["CT"]
    assert [case["name"] for case in plan["data"]] == ["p0", "p1"]


def test_a_channel_from_minus_500_to_above_100_is_taken_for_a_ct():
    assert looks_like_hounsfield(-500, 101)
    assert not looks_like_hounsfield(-499, 101) and not looks_like_hounsfield(-500, 100)


def test_cases_with_more_channels_than_most_have_no_say_in_what_the_channels_are(tmp_path, write_scan):
    rng = np.random.default_rng(0)
    for index, channels in enumerate((1, 1, 2, 3)):  # two CTs, and others that hold no air
        image = rng.normal(0, 20, (40, 36, 20, channels)).astype(np.float32)
        image[:2, 0, 0] = [[-900], [900]] if channels == 1 else 0  # a breath of air, a splinter of bone
        write_scan(f"data/images/p{index}.nii.gz", image.squeeze(), AFFINE)
        write_scan(f"data/labels/p{index}.nii.gz", (image[..., 0] > 10).astype(np.uint8), AFFINE)
    plan = plan_dataset(tmp_path / "data", tmp_path / "plan.json", PlanOptions(leave_out_faulty=True))
    assert plan["task_entry"]["channels"] == ["CT"] and [case["name"] for case in plan["data"]] == ["p0", "p1"]


def test_cases_of_several_tasks_are_no_data_set_to_plan(tmp_path):
    folder = datalist(frames(tmp_path / "data"), p0_frame0={"task": "liver"}, p1_frame0={"task": "kidney"})
    with pytest.raises(ValueError, match=r"datalist\.json has cases of the tasks kidney, liver, whose label values"):
        plan_dataset(folder, tmp_path / "plan.json")


def test_case_numbers_of_four_digits_are_no_channels(tmp_path, write_scan):
    rng = np.random.default_rng(0)
    for index in range(2):
        image = rng.normal(0, 20, (40, 36, 20)).astype(np.float32)
        for kind in ("CT", "PET"):
            write_scan(f"data/{kind}/case_{index + 1:04d}.nii.gz", image, AFFINE)
        write_scan(f"data/labels/case_{index + 1:04d}.nii.gz", (image > 10).astype(np.uint8), AFFINE)
    plan = plan_dataset(tmp_path / "data", tmp_path / "plan.json")
    assert plan["data"][0]["image"] == ["CT/case_0001.nii.gz", "PET/case_0001.nii.gz"]


def test_an_image_listed_as_in_version_1_of_nnunet_is_found(tmp_path, write_scan):
    for index in range(2):
        write_scan(f"imagesTr/amos_{index:04d}_0000.nii.gz", np.zeros((4, 4, 4), np.float32))
        write_scan(f"labelsTr/amos_{index:04d}.nii.gz", np.zeros((4, 4, 4), np.uint8))
    listed = [
        {"image": f"./imagesTr/amos_{index:04d}.nii.gz", "label": f"./labelsTr/amos_{index:04d}.nii.gz"}
        for index in range(2)
    ]
    (tmp_path / "dataset.json").write_text(json.dumps({"modality": {"0": "CT"}, "training": listed}))
    found = [case["image"] for case in read_layout(tmp_path).cases]
    assert found == [[str(tmp_path / f"imagesTr/amos_{index:04d}_0000.nii.gz")] for index in range(2)]


@pytest.mark.parametrize("how", ["folder", "dataset.json", "datalist"])
def test_known_layouts_bring_their_own_names(tmp_path, table, how):
    task = table.one("whole_body_tumour")
    names = write_phantoms(tmp_path / "data", task, 2)
    source = tmp_path / "data"
    if how != "folder":
        entries = [
            {"image": [f"imagesTr/{name}_{c:04d}.nii.gz" for c in range(2)], "label": f"labelsTr/{name}.nii.gz"}
            for name in names
        ]
        content = json.loads((source / "dataset.json").read_text()) | {"training": entries}
        (source / "dataset.json").unlink()
        source = source / ("dataset.json" if how == "dataset.json" else "cases.json")
        source.write_text(json.dumps(content))
    plan = plan_dataset(source, tmp_path / "plan.json")
    assert plan["task_entry"]["channels"] == ["CT", "PET"]
    assert plan["task_entry"]["classes"] == list(task.classes) and plan["task_entry"]["values"] == [1]
    assert [case["name"] for case in plan["data"]] == names


def frames(folder, patients=4):
    """Two frames of each patient, in folders of their own."""
    for index in range(2 * patients):
        write_case(folder, f"p{index // 2}_frame{index % 2}", seed=index, size=(20, 20, 12))
    return folder


def datalist(folder, *sections, **entries):
    """A datalist over the frames: items of the entries by case name, and the sections they stand in."""
    content = {section: [] for section in sections or ["training"]}
    for index, case in enumerate(sorted(path.name for path in folder.iterdir())):
        section = (sections or ["training"])[index % max(len(sections), 1)]
        files = {"image": [f"{case}/t1.nii.gz", f"{case}/t2.nii.gz"], "label": f"{case}/seg.nii.gz"}
        content[section].append({"name": case, **files, **entries.get(case, {})})
    (folder / "datalist.json").write_text(json.dumps(content))
    return folder


def folds_of(plan):
    return {case["name"]: case["fold"] for case in plan["data"]}


def test_folds_never_part_a_patient(tmp_path):
    options = PlanOptions(folds=3, group=r"(p\d+)_")
    plan = plan_dataset(frames(tmp_path / "data"), tmp_path / "plan.json", options)
    folds = folds_of(plan)
    assert all(folds[f"p{index}_frame0"] == folds[f"p{index}_frame1"] for index in range(4))
    assert len(set(folds.values())) == 3 and plan["data"][0]["group"] == "p0"
    for validation in (False, True):
        cases = fold_cases(plan["data"], tmp_path / "data", "heart", 0, validation)
        assert all(group_of(case) == case["name"][:2] for case in cases)


def test_more_folds_than_patients_are_lowered_and_said_so(patients, tmp_path, caplog):
    count = len(folds_of(plan_dataset(patients, tmp_path / "plan.json", PlanOptions(folds=2))))
    plan = plan_dataset(patients, tmp_path / "many.json", PlanOptions(folds=50))
    assert len(set(folds_of(plan).values())) == count
    assert f"50 folds of {count} patients cannot be" in caplog.text


def test_folds_without_groups_are_those_of_earlier_versions(patients, tmp_path):
    plan = plan_dataset(patients, tmp_path / "plan.json", PlanOptions(folds=3, seed=5))
    drawn = np.random.default_rng(5).permutation(4)
    assert folds_of(plan) == {f"patient{index}": order % 3 for order, index in enumerate(drawn)}
    assert all("group" not in case for case in plan["data"])


def test_groups_of_a_datalist_are_kept(tmp_path):
    groups = {f"p{index}_frame{frame}": {"group": f"p{index}"} for index in range(4) for frame in range(2)}
    folder = datalist(frames(tmp_path / "data"), **groups)
    folds = folds_of(plan_dataset(folder, tmp_path / "plan.json", PlanOptions(folds=4)))
    # Label maps of one name: the cases keep the names of their entries.
    assert all(folds[f"p{index}_frame0"] == folds[f"p{index}_frame1"] for index in range(4))


def test_a_case_that_has_its_patient_s_name_is_of_that_patient(tmp_path):
    for index, name in enumerate(["p1", "p1_again", "p2", "p3"]):
        place = write_case(tmp_path / "data", name, seed=index, size=(20, 20, 12))
        (place / "seg.nii.gz").rename(place / f"label_{name}.nii.gz")
    entries = [
        {"name": name, "image": [f"{name}/t1.nii.gz", f"{name}/t2.nii.gz"], "label": f"{name}/label_{name}.nii.gz"}
        for name in ("p1", "p1_again", "p2", "p3")
    ]
    entries[1]["group"] = "p1"
    (tmp_path / "data" / "datalist.json").write_text(json.dumps({"training": entries}))
    plan = plan_dataset(tmp_path / "data", tmp_path / "plan.json")
    assert [case.get("group") for case in plan["data"]] == ["p1", "p1", None, None]
    assert plan["data"][0]["fold"] == plan["data"][1]["fold"]


def test_folds_of_a_datalist_are_taken_as_they_are(tmp_path, caplog):
    caplog.set_level("INFO")
    folds = {f"p{index}_frame{frame}": {"fold": index % 2 + 3} for index in range(4) for frame in range(2)}
    folder = datalist(frames(tmp_path / "data"), **folds)
    plan = plan_dataset(folder, tmp_path / "plan.json", PlanOptions(group=r"p\d+"))
    assert folds_of(plan) == {name: entry["fold"] for name, entry in folds.items()}
    assert "folds 3, 4 are those of the datalist" in caplog.text


@pytest.mark.parametrize(
    ("sections", "change", "group", "message"),
    [
        ([], {"p1_frame1": {"fold": None}}, None, r"p1_frame1 has None: a fold is a whole number from 0"),
        ([], {"p1_frame1": {"fold": 0}}, "p.", r"p1: p1_frame0 in fold 1, p1_frame1 in fold 0\nput all cases of a pat"),
        (["training", "validation"], {}, "p.", r"p0: p0_frame0 in training, p0_frame1 in validation"),
        ([], {}, "case", "finds no patient in 8 of 8 case names"),
        ([], {}, "(_)frame", r"there are 8 case\(s\) of 1 patient\(s\) \(_\)"),
    ],
)
def test_a_division_that_parts_patients_is_refused_before_any_scan_is_read(
    tmp_path, monkeypatch, sections, change, group, message
):
    folds = {f"p{index}_frame{frame}": {"fold": index % 2} for index in range(4) for frame in range(2)}
    folder = datalist(frames(tmp_path / "data"), *sections, **({} if sections else folds | change))
    monkeypatch.setattr("uniseg_nets.plan.check.extract_fingerprint", pytest.fail)
    with pytest.raises(ValueError, match=message):
        plan_dataset(folder, tmp_path / "plan.json", PlanOptions(group=group))


def test_a_datalist_with_folds_for_some_cases_only_is_refused(tmp_path):
    folder = datalist(frames(tmp_path / "data"), p0_frame0={"fold": 0}, p0_frame1={"fold": 1})
    with pytest.raises(ValueError, match=r"a fold to 2 of 8 cases and none to p1_frame0, .*to every labelled case"):
        plan_dataset(folder, tmp_path / "plan.json")


def test_a_plan_edited_so_that_a_patient_is_parted_is_refused():
    cases = [
        {"name": name, "image": [], "label": "", "group": "p1", "fold": fold} for fold, name in enumerate(["ED", "ES"])
    ]
    with pytest.raises(ValueError, match=r"the plan puts 1 patient.*\n  p1: ED in fold 0, ES in fold 1"):
        fold_cases(cases, ".", "heart", 0)
    with pytest.raises(ValueError, match=r"ED: ED in fold 0, ED in fold 1"):
        fold_cases([{**case, "name": "ED", "group": "ED"} for case in cases], ".", "heart", 0)


def test_fewer_than_two_folds_are_refused():
    with pytest.raises(ValueError, match="folds is 1, expected 2 or more"):
        PlanOptions(folds=1)


def broken(folder, fault):
    seg = folder / "patient1" / "seg.nii.gz"
    label = np.asarray(nib.load(seg).dataobj).copy()
    if fault == "value":
        label[20, 20, 10] = 7
    if fault == "grid":
        nib.save(nib.Nifti1Image(label, AFFINE + np.eye(4)[:, [3, 0, 1, 2]] * 0.5), seg)
        return
    if fault == "fraction":
        nib.save(nib.Nifti1Image(label * np.float32(0.5) + np.float32(0.25), AFFINE), seg)
        return
    if fault == "two maps":
        nib.save(nib.Nifti1Image(np.stack([label, label], axis=-1), AFFINE), seg)
        return
    if fault == "truncated":
        image = folder / "patient1" / "t2.nii.gz"
        image.write_bytes(image.read_bytes()[:2000])
    if fault == "copy":
        for name in ("t1", "t2"):
            shutil.copy(folder / "patient0" / f"{name}.nii.gz", folder / "patient1" / f"{name}.nii.gz")
    if fault == "channels":
        (folder / "patient1" / "t2.nii.gz").unlink()
    nib.save(nib.Nifti1Image(label, AFFINE), seg)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("value", r"patient1: has label values \[7\], .*--labels \"7=name,50=name,100=name\""),
        ("grid", r"patient1: .*seg.nii.gz lies on another grid"),
        ("fraction", r"seg.nii.gz holds \[0.25, 25.25, 50.25\]: labels are whole numbers"),
        ("two maps", r"patient1: label map .*seg.nii.gz has 2 channels, expected one"),
        ("truncated", r"patient1: cannot read .*t2.nii.gz"),
        ("copy", "patient1: holds the same image as patient0"),
        ("channels", r"patient1: has 1 channel\(s\), expected 2"),
    ],
)
def test_a_fault_is_named_and_nothing_written_or_the_case_left_out(patients, tmp_path, fault, message):
    broken(patients, fault)
    labels = {50: "organ", 100: "lesion"}
    with pytest.raises(ValueError, match=message):
        plan_dataset(patients, tmp_path / "plan.json", PlanOptions(labels=labels, channels=["t1", "t2"]))
    assert not (tmp_path / "plan.json").exists()
    options = PlanOptions(labels=labels, channels=["t1", "t2"], leave_out_faulty=True)
    plan = plan_dataset(patients, tmp_path / "plan.json", options)
    assert [case["name"] for case in plan["data"]] == ["patient0", "patient2", "patient3"]


def test_voxels_that_nnunet_ignores_are_no_class(patients, tmp_path):
    with pytest.raises(ValueError, match=r"data: label 100 is 'ignore', nnU-Net's name"):
        plan_dataset(patients, tmp_path / "plan.json", PlanOptions(labels={50: "organ", 100: "ignore"}))
    assert not (tmp_path / "plan.json").exists()


def test_a_class_in_no_case_is_named(patients, tmp_path):
    labels = {50: "organ", 100: "lesion", 3: "ghost"}
    with pytest.raises(ValueError, match=r"in no case is there ghost \(3\).*--labels \"50=organ,100=lesion\""):
        plan_dataset(patients, tmp_path / "plan.json", PlanOptions(labels=labels))
    assert not (tmp_path / "plan.json").exists()


def test_a_case_without_foreground_is_named_and_kept(patients, tmp_path, caplog):
    write_case(patients, "healthy", values=(0,), seed=9)
    plan = plan_dataset(patients, tmp_path / "plan.json")
    assert "no foreground in 1 of 5 cases, which are kept: healthy" in caplog.text
    assert "healthy" in [case["name"] for case in plan["data"]]


@pytest.mark.parametrize(
    ("channels", "classes", "name"),
    [
        (["CT"], ["aorta"], "liver"),
        (["CT"], ["Spleen", "stomach"], "spleen"),
        (["T1"], ["hippocampus"], "prostate"),
        (["CT", "PET"], ["lesion"], "whole_body_tumour"),
        (["T1", "T2", "FLAIR"], ["lesion"], "brain_tumour"),
        (["T1", "T1ce", "T2", "FLAIR"], ["tumour"], "brain_tumour"),
    ],
)
def test_the_slot_is_the_task_nearest_in_channels_then_in_classes(table, channels, classes, name):
    assert nearest_slot(channels, classes, len(table)) == table.one(name).id
    assert nearest_slot(channels, classes, 7) == 0  # weights of another table, whose tasks nobody knows


def test_weights_of_the_open_tasks_have_slots_of_their_own(caplog):
    caplog.set_level("INFO")
    tasks = load_task_table("open")
    assert nearest_slot(["CT"], ["mandible"], len(tasks)) == tasks.one("head_neck").id == check_slot("head_neck", 5)
    assert nearest_slot(["CT", "PET"], ["lesion"], len(tasks)) == tasks.one("sarcoma").id
    assert nearest_slot(["cine"], ["myocardium"], len(tasks)) == tasks.one("left_ventricle").id
    assert "have 5 tasks and are taken for those of table 'open'; if they are of another" in caplog.text


def test_a_slot_is_named_by_task_or_id_and_wrong_ones_are_refused(table, patients, tmp_path, demo_weights):
    assert check_slot("spleen", 11) == check_slot("6", 11) == check_slot(6, 11) == 6
    assert check_slot(0, 7) == 0 and check_slot(None, 7) == "none"
    with pytest.raises(ValueError, match="slot is 7, the weights have tasks 0 to 6"):
        check_slot(7, 7)
    with pytest.raises(ValueError, match="slot is 'spleen', but the weights have 7 tasks, unlike every table"):
        check_slot("spleen", 7)
    with pytest.raises(ValueError, match="did you mean 'liver'"):
        plan_dataset(patients, tmp_path / "plan.json", PlanOptions(weights=str(demo_weights), slot="livr"))
    assert not (tmp_path / "plan.json").exists()


def test_spacing_is_the_median_but_for_a_coarse_axis():
    assert choose_spacing([(3, 1, 1), (3, 2, 2), (3, 2, 2)], [(50, 100, 100)] * 3) == (3, 2, 2)
    coarse = [(10, 1, 1)] * 9 + [(5, 1, 1)] * 2
    assert choose_spacing(coarse, [(20, 300, 300)] * 11) == (5, 1, 1)


@pytest.mark.parametrize(("thickness", "chosen"), [(3.0, 3.0), (3.1, 2.0)])
def test_an_axis_is_coarse_above_three_times_the_others(thickness, chosen):
    spacings = [(thickness, 1, 1)] * 9 + [(2, 1, 1)] * 2
    assert choose_spacing(spacings, [(20, 300, 300)] * 11) == (chosen, 1, 1)


@pytest.mark.parametrize(
    ("size", "patch"),
    [((160, 192, 192), (144, 192, 192)), ((64, 192, 192), (64, 160, 192)), ((64, 192, 256), (64, 192, 224))],
)
def test_the_axis_that_covers_most_after_the_cut_is_cut_first(size, patch):
    assert choose_patch(size, 0.999 * np.prod(size) * 145 * 32 * 2 / 2**30) == patch


@pytest.mark.parametrize("axis", [0, 2])
def test_foreground_intensities_come_from_the_whole_of_a_case(write_scan, axis):
    ramp = np.broadcast_to(np.arange(60, dtype=np.float32)[:, None, None] + 1, (60, 30, 30)).swapaxes(0, axis)
    files = {"image": [write_scan("a.nii.gz", ramp)], "label": write_scan("l.nii.gz", np.ones(ramp.shape, np.uint8))}
    found = extract_fingerprint({"name": "a", **files}).foreground
    assert found.shape == (1, 10_000) and set(found[0]) == set(range(1, 61))
    assert np.bincount(found[0].astype(int))[1:].std() < 4


def test_labelled_voxels_that_hold_no_number_do_not_count(write_scan):
    image = np.ones((6, 6, 6), np.float32)
    image[0, 0, :2] = np.nan, np.inf
    files = {"image": [write_scan("a.nii.gz", image)], "label": write_scan("l.nii.gz", np.ones((6, 6, 6), np.uint8))}
    assert extract_fingerprint({"name": "a", **files}).foreground.tolist() == [[1.0] * 214]


@pytest.mark.parametrize(
    ("size", "memory", "patch"),
    [
        ((100, 300, 300), 100, (112, 320, 320)),
        ((35, 50, 36), 8, (48, 64, 64)),
        ((10, 20, 20), 8, (32, 32, 32)),
    ],
)
def test_the_patch_covers_a_case_as_far_as_memory_allows(size, memory, patch):
    assert choose_patch(size, memory) == patch


def test_a_smaller_memory_gives_a_smaller_patch():
    large, small = choose_patch((100, 300, 300), 20), choose_patch((100, 300, 300), 5)
    assert np.prod(small) < np.prod(large) < 112 * 320 * 320
    assert all(n % stride == 0 for n, stride in zip(small, (16, 32, 32)))
    with pytest.raises(ValueError, match="GiB hold no patch, the smallest needs"):
        choose_patch((100, 300, 300), 0.001)


@pytest.mark.parametrize(
    ("modality", "names"), [("MRI", ["MRI"]), ("CT", ["CT"]), (["T1"], ["T1"]), ({"0": "T2"}, ["T2"])]
)
def test_a_datalist_says_its_modality_as_others_write_it(tmp_path, modality, names):
    for index in range(3):
        write_case(tmp_path / "data", f"p{index}", (0, 1), seed=index, channels=("scan",))
    cases = [{"image": f"p{i}/scan.nii.gz", "label": f"p{i}/seg.nii.gz", "name": f"p{i}", "fold": i} for i in range(3)]
    content = {"modality": modality, "labels": {"0": "background", "1": "organ"}, "training": cases}
    (tmp_path / "data" / "dataset.json").write_text(json.dumps(content))
    plan = plan_dataset(tmp_path / "data", tmp_path / "plan.json")
    assert plan["task_entry"]["channels"] == names and [case["fold"] for case in plan["data"]] == [0, 1, 2]


def test_a_modality_that_cannot_be_read_is_named(tmp_path):
    write_case(tmp_path / "data", "p0", channels=("scan",))
    (tmp_path / "data" / "dataset.json").write_text(json.dumps({"modality": 3, "training": []}))
    with pytest.raises(ValueError, match=r'"modality" is 3, expected \{"0": "CT", \.\.\.\}, a list of names'):
        plan_dataset(tmp_path / "data", tmp_path / "plan.json")
