"""Each data set on a miniature copy of its real layout."""

import json
import logging
import re
import shutil
import zlib

import nibabel as nib
import numpy as np
import pytest

from uniseg_nets.data import load_datalist
from uniseg_nets.data.datalist import image_files
from uniseg_nets.prepare import CONVERTERS, SOURCES, add, datalist, prepare
from uniseg_nets.tasks import TaskTable
from uniseg_nets.transforms.load import LoadCase

# Source -> files of one case; "{i}" counts cases. The last is the label, with the values that stand there.
LAYOUTS = {
    "lits": (["Training_Batch1/volume-{i}.nii", "Training_Batch1/segmentation-{i}.nii"], (0, 1, 2)),
    "kits": (["data/case_0000{i}/imaging.nii.gz", "data/case_0000{i}/segmentation.nii.gz"], (0, 1, 2)),
    "msd02": (["imagesTr/la_00{i}.nii.gz", "labelsTr/la_00{i}.nii.gz"], (0, 1)),
    "msd04": (["imagesTr/hippocampus_00{i}.nii.gz", "labelsTr/hippocampus_00{i}.nii.gz"], (0, 1, 2)),
    "msd03": (["Task03_Liver/imagesTr/liver_{i}.nii.gz", "Task03_Liver/labelsTr/liver_{i}.nii.gz"], (0, 1, 2)),
    "msd06": (["imagesTr/lung_00{i}.nii.gz", "labelsTr/lung_00{i}.nii.gz"], (0, 1)),
    "msd07": (["imagesTr/pancreas_00{i}.nii.gz", "labelsTr/pancreas_00{i}.nii.gz"], (0, 1, 2)),
    "msd08": (["imagesTr/hepaticvessel_00{i}.nii.gz", "labelsTr/hepaticvessel_00{i}.nii.gz"], (0, 1, 2)),
    "msd09": (["imagesTr/spleen_{i}.nii.gz", "labelsTr/spleen_{i}.nii.gz"], (0, 1)),
    "msd10": (["imagesTr/colon_00{i}.nii.gz", "labelsTr/colon_00{i}.nii.gz"], (0, 1)),
    "verse20": (
        [
            "01_training/rawdata/sub-verse50{i}/sub-verse50{i}_dir-ax_ct.nii.gz",
            "01_training/derivatives/sub-verse50{i}/sub-verse50{i}_dir-ax_seg-vert_msk.nii.gz",
        ],
        (0, 9, 24),
    ),
    "prostate": (["BIDMC/Case0{i}.nii.gz", "BIDMC/Case0{i}_segmentation.nii.gz"], (0, 1, 2)),
    "brats21": (
        [f"BraTS2021_0000{{i}}/BraTS2021_0000{{i}}_{kind}.nii.gz" for kind in ("t1", "t1ce", "t2", "flair", "seg")],
        (0, 1, 2, 4),
    ),
    "autopet22": (
        [f"FDG-PET-CT-Lesions/PETCT_000{{i}}/01-01-2004-PET/{kind}.nii.gz" for kind in ("CTres", "SUV", "SEG")],
        (0, 1),
    ),
    "btcv": (["RawData/Training/img/img000{i}.nii.gz", "RawData/Training/label/label000{i}.nii.gz"], (0, 1, 13)),
    "vs": (["vs_gk_{i}/vs_gk_t1_refT1.nii.gz", "vs_gk_{i}/vs_gk_seg_refT1.nii.gz"], (0, 1)),
}
OWN = TaskTable(
    [
        {"name": "abdomen", "channels": ["CT"], "spacing": [3, 1.5, 1.5], "classes": [f"organ{i}" for i in range(13)]},
        {"name": "schwannoma", "channels": ["T1"], "spacing": [1.5, 1, 1], "classes": ["tumour"]},
    ]
)


def write(path, volume, affine=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(volume, np.diag([1.0, 2, 3, 1]) if affine is None else affine), path)


def image_of(*words):
    """Voxels that differ from those of other words."""
    return np.full((6, 6, 6), zlib.crc32(" ".join(map(str, words)).encode()) % 10_000, np.float32)


def miniature(root, source, cases=5):
    files, values = LAYOUTS[source]
    for i in range(cases):
        *images, label = (root / name.format(i=i) for name in files)
        for image in images:
            write(image, image_of(source, i))
        volume = np.zeros((6, 6, 6), np.uint8)
        volume.flat[: len(values)] = values
        write(label, volume)
    return root


def table_of(source, *tables):
    return next((t for t in tables if SOURCES[source].task in t.choices), OWN)


@pytest.mark.parametrize("source", [*SOURCES, *CONVERTERS])
def test_a_data_set_is_named_in_the_help_and_on_the_bundle_s_page(uniseg, capsys, bundle, source):
    assert uniseg("prepare", "--help") == 0
    named = rf"\b{source}\b"
    assert re.search(named, capsys.readouterr().out)
    assert re.search(named, (bundle / "docs" / "README.md").read_text())


@pytest.mark.parametrize("source", SOURCES)
def test_a_data_set_becomes_cases_with_the_task_s_own_values(tmp_path, table, open_tasks, source):
    tasks = table_of(source, table, open_tasks)
    own = {"btcv": "abdomen", "vs": "schwannoma"}.get(source)
    path = prepare(source, miniature(tmp_path / "raw", source), tmp_path / "out", tasks, own)
    cases = load_datalist(path, "training") + load_datalist(path, "validation")
    task = tasks.one(own or SOURCES[source].task)
    assert len(cases) == 5 and len(load_datalist(path, "validation")) == 1
    for case in cases:
        assert case["task"] == task.name and len(image_files(case)) == len(task.channels)
        label = nib.load(case["label"])
        assert set(np.unique(label.dataobj)) <= set(range(task.num_outputs))
        image = nib.load(image_files(case)[0])
        assert image.shape == label.shape
        np.testing.assert_allclose(image.affine, label.affine)


def test_brats_labels_are_renumbered(tmp_path, table):
    path = prepare("brats21", miniature(tmp_path / "raw", "brats21"), tmp_path / "out", table)
    label = np.asarray(nib.load(load_datalist(path, "training")[0]["label"]).dataobj)
    assert label.flat[:4].tolist() == [0, 2, 1, 3]  # was 0, 1, 2, 4


def test_channels_are_in_the_task_s_order(tmp_path, table):
    path = prepare("brats21", miniature(tmp_path / "raw", "brats21"), tmp_path / "out", table)
    names = [file.rsplit("_", 1)[1] for file in load_datalist(path, "training")[0]["image"]]
    assert names == ["t1.nii.gz", "t1ce.nii.gz", "t2.nii.gz", "flair.nii.gz"]


def test_vertebrae_become_one_class(tmp_path, table):
    path = prepare("verse20", miniature(tmp_path / "raw", "verse20"), tmp_path / "out", table)
    label = np.asarray(nib.load(load_datalist(path, "training")[0]["label"]).dataobj)
    assert label.flat[:4].tolist() == [0, 1, 1, 0]


def test_labels_that_fit_already_are_not_copied(tmp_path, table):
    prepare("lits", miniature(tmp_path / "raw", "lits"), tmp_path / "out", table)
    assert [entry.name for entry in (tmp_path / "out").iterdir()] == ["datalist.json"]


def test_lesion_free_pet_cases_are_left_out(tmp_path, table, caplog):
    root = miniature(tmp_path / "raw", "autopet22")
    write(root / LAYOUTS["autopet22"][0][-1].format(i=2), np.zeros((6, 6, 6), np.uint8))
    path = prepare("autopet22", root, tmp_path / "out", table)
    cases = load_datalist(path, "training") + load_datalist(path, "validation")
    assert len(cases) == 4 and "1 of 5 cases have no foreground and are left out" in caplog.text


def test_tasks_gather_in_one_datalist_and_a_second_run_replaces_its_own(tmp_path, table):
    for source in ("lits", "kits", "lits"):
        path = prepare(source, miniature(tmp_path / source, source), tmp_path / "out", table)
    content = json.loads(path.read_text())
    assert sorted({entry["task"] for entry in content["training"]}) == ["kidney", "liver"]
    assert len(content["training"]) == 8 and len(content["validation"]) == 2


def test_an_official_split_is_taken_by_name(tmp_path, table):
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"training": ["liver_0", "liver_3"], "validation": ["liver_1"]}))
    path = prepare("lits", miniature(tmp_path / "raw", "lits"), tmp_path / "out", table, split=split)
    assert [case["name"] for case in load_datalist(path, "training")] == ["liver_0", "liver_3"]
    split.write_text(json.dumps({"training": ["liver_77"]}))
    with pytest.raises(ValueError, match=r"no case liver_77; there are liver_0"):
        prepare("lits", tmp_path / "raw", tmp_path / "out", table, split=split)


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (
            {"train": ["liver_0"], "val": ["liver_1"]},
            r"has train, val and lacks training and validation: name the lists",
        ),
        ({"training": ["liver_0"], "val": ["liver_1"]}, r"has val and lacks validation: name the lists"),
        ({}, "names no case: expected lists of case names"),
        ({"training": [], "validation": []}, "names no case"),
        ({"training": "liver_0"}, "training is 'liver_0', expected a list"),
    ],
)
def test_a_split_without_cases_empties_no_datalist(tmp_path, table, split, message):
    path = prepare("lits", miniature(tmp_path / "raw", "lits"), tmp_path / "out", table)
    before = path.read_text()
    (tmp_path / "split.json").write_text(json.dumps(split))
    with pytest.raises(ValueError, match=rf"split\.json:? {message}"):
        prepare("lits", tmp_path / "raw", tmp_path / "out", table, split=tmp_path / "split.json")
    assert path.read_text() == before


def test_a_data_set_of_which_nothing_is_left_empties_no_datalist(tmp_path, table):
    root = miniature(tmp_path / "raw", "autopet22")
    path = prepare("autopet22", root, tmp_path / "out", table)
    before = path.read_text()
    for label in root.rglob("SEG.nii.gz"):
        write(label, np.zeros((6, 6, 6), np.uint8))
    with pytest.raises(ValueError, match="autopet22: no case is left, those without foreground are left out"):
        prepare("autopet22", root, tmp_path / "out", table)
    assert path.read_text() == before


def test_cases_that_a_split_does_not_name_are_warned_of(tmp_path, table, caplog):
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"training": ["liver_0", "liver_3"], "validation": ["liver_1"]}))
    path = prepare("lits", miniature(tmp_path / "raw", "lits"), tmp_path / "out", table, split=split)
    assert names_of(path) == ["liver_0", "liver_1", "liver_3"]
    assert f"{split} does not name 2 of 5 cases, left out: liver_2, liver_4" in caplog.text


def nnunet(root, names=("a_0", "a_1", "a_2"), value=1):
    for name in names:
        write(root / f"imagesTr/{name}_0000.nii.gz", image_of(root, name))
        write(root / f"labelsTr/{name}.nii.gz", np.full((6, 6, 6), value, np.uint8))
    (root / "dataset.json").write_text(json.dumps({"channel_names": {"0": "T1"}}))
    return root


def sides_of(path):
    """Section -> case names."""
    return {section: [case["name"] for case in load_datalist(path, section)] for section in ("training", "validation")}


def names_of(path):
    return sorted(name for members in sides_of(path).values() for name in members)


FRAMES = [f"p{index}_{frame}" for index in range(5) for frame in ("ED", "ES")]


def test_a_random_split_never_parts_a_patient(tmp_path):
    root = nnunet(tmp_path / "raw", FRAMES)
    for seed in range(4):
        path = prepare("nnunet", root, tmp_path / "out", OWN, "schwannoma", seed=seed, group=r"(p\d)_")
        held = sides_of(path)["validation"]
        assert len(held) == 2 and held[0][:2] == held[1][:2]
    assert {case["group"] for case in load_datalist(path, "training")} < {f"p{index}" for index in range(5)}


def test_usual_names_of_patients_are_recognised_and_others_that_are_alike_are_named(tmp_path, caplog):
    names = [f"patient{index:03d}_frame{frame}" for index in range(5) for frame in (1, 12)]
    path = prepare("nnunet", nnunet(tmp_path / "raw", names), tmp_path / "out", OWN, "schwannoma")
    assert {case["group"] for case in load_datalist(path, "training")} < {f"patient{index:03d}" for index in range(5)}
    assert not {name[:10] for name in sides_of(path)["training"]} & {name[:10] for name in sides_of(path)["validation"]}
    prepare("nnunet", nnunet(tmp_path / "other", FRAMES), tmp_path / "out2", OWN, "schwannoma")
    assert "some names are alike: p0_ED and p0_ES" in caplog.text and "`--group`" in caplog.text


def test_a_random_split_without_patients_is_that_of_earlier_versions(tmp_path, table):
    path = prepare("lits", miniature(tmp_path / "raw", "lits"), tmp_path / "out", table, seed=3)
    drawn = np.random.default_rng(3).permutation([f"liver_{index}" for index in range(5)])
    assert sides_of(path) == {"training": sorted(drawn[1:]), "validation": [drawn[0]]}
    assert all("group" not in case for case in load_datalist(path, "training"))


def test_sources_that_know_their_patients_say_so(tmp_path, table):
    files, _ = LAYOUTS["autopet22"]
    root = miniature(tmp_path / "raw", "autopet22")
    for name in files:  # a second study of the first patient
        source = root / name.format(i=0)
        target = root / name.format(i=0).replace("01-01-2004", "02-02-2005")
        target.parent.mkdir(exist_ok=True)
        shutil.copy(source, target)
    path = prepare("autopet22", root, tmp_path / "out", table)
    cases = load_datalist(path, "training") + load_datalist(path, "validation")
    assert {case["name"]: case["group"] for case in cases}["PETCT_0000_02-02-2005-PET"] == "PETCT_0000"
    path = prepare("verse20", miniature(tmp_path / "verse", "verse20"), tmp_path / "verse_out", table)
    case = load_datalist(path, "validation")[0]
    assert case["name"] == f"{case['group']}_dir-ax" and case["group"].startswith("sub-verse50")


@pytest.mark.parametrize(
    ("split", "group", "message"),
    [
        (
            {"training": ["p0_ED"], "validation": ["p0_ES"]},
            r"p\d",
            r"split.json puts .*\n  p0: p0_ED in t.*, p0_ES in v",
        ),
        (
            {"training": ["p0_ED"], "validation": ["p0_ED"]},
            None,
            r"split.json: p0_ED \(tr.*, va.* occur more than once",
        ),
        ({"training": ["p0_ED", "p0_ED"]}, None, r"p0_ED \(training, training\) occur more than once"),
        ({"training": ["p9_ED"]}, None, "no case p9_ED"),
        (None, "patient", r"finds no patient in 10 of 10 case names \(p0_ED, "),
    ],
)
def test_a_split_that_cannot_be_is_refused_before_any_scan_is_read(tmp_path, monkeypatch, split, group, message):
    root = nnunet(tmp_path / "raw", FRAMES)
    file = tmp_path / "split.json"
    file.write_text(json.dumps(split))
    monkeypatch.setattr("uniseg_nets.prepare.add.has_foreground", pytest.fail)
    with pytest.raises(ValueError, match=message):
        prepare("nnunet", root, tmp_path / "out", OWN, "schwannoma", file if split else None, group=group)
    assert not (tmp_path / "out").exists()


def test_a_split_may_name_cases_that_are_left_out_for_lack_of_foreground(tmp_path, table):
    root = miniature(tmp_path / "raw", "autopet22")
    write(root / LAYOUTS["autopet22"][0][-1].format(i=2), np.zeros((6, 6, 6), np.uint8))
    names = [f"PETCT_000{index}_01-01-2004-PET" for index in range(5)]
    (tmp_path / "split.json").write_text(json.dumps({"training": names[1:], "validation": names[:1]}))
    path = prepare("autopet22", root, tmp_path / "out", table, split=tmp_path / "split.json")
    assert sides_of(path) == {"training": [names[1], *names[3:]], "validation": names[:1]}


def test_a_second_nnunet_folder_of_a_task_joins_the_first(tmp_path):
    first, second = (nnunet(tmp_path / name, [f"{name}_{i}" for i in range(3)]) for name in ("d1", "d2"))
    for root in (first, second, first):
        path = prepare("nnunet", root, tmp_path / "out", OWN, "schwannoma")
    assert names_of(path) == ["d1_0", "d1_1", "d1_2", "d2_0", "d2_1", "d2_2"]


def test_cases_of_one_name_in_two_folders_are_told_apart(tmp_path, caplog):
    for name in ("d1", "d2", "d2"):
        path = prepare("nnunet", nnunet(tmp_path / name), tmp_path / "out", OWN, "schwannoma")
    assert names_of(path) == ["a_0", "a_1", "a_2", "d2_a_0", "d2_a_1", "d2_a_2"]
    assert "renamed: a_0 as d2_a_0, " in caplog.text
    prepare("nnunet", nnunet(tmp_path / "elsewhere" / "d2"), tmp_path / "out", OWN, "schwannoma")
    with pytest.raises(ValueError, match="has cases a_0, d2_a_0, d2_schwannoma_a_0 already: rename the folder"):
        prepare("nnunet", nnunet(tmp_path / "third" / "d2"), tmp_path / "out", OWN, "schwannoma")


def test_one_scan_for_two_tasks_is_two_cases_of_one_patient(tmp_path):
    root, split = nnunet(tmp_path / "d1"), tmp_path / "split.json"
    split.write_text(json.dumps({"training": ["a_0", "a_1"], "validation": ["a_2"]}))
    prepare("nnunet", root, tmp_path / "out", OWN, "schwannoma", split)
    path = prepare("nnunet", root, tmp_path / "out", OWN, "abdomen", split)
    (case,) = (case for case in load_datalist(path, "validation") if case["task"] == "abdomen")
    assert (case["name"], case["group"]) == ("d1_a_2", "a_2")
    split.write_text(json.dumps({"training": ["a_2", "a_1"], "validation": ["a_0"]}))
    with pytest.raises(ValueError, match=r"split.json puts 2 patient.*\n  a_2: a_2 in training, a_2 in validation"):
        prepare("nnunet", root, tmp_path / "out", OWN, "abdomen", split)


def meanwhile(monkeypatch, run):
    """Lets another run go from start to end while label maps are written."""
    write_label, ran = add.label_of_task, []

    def label_of_task(*arguments):
        if not ran:
            ran.append(True)
            run()
        return write_label(*arguments)

    monkeypatch.setattr(add, "label_of_task", label_of_task)


def test_two_runs_at_a_time_lose_no_entries(tmp_path, table, monkeypatch):
    lits, kits = (miniature(tmp_path / name, name) for name in ("lits", "kits"))
    meanwhile(monkeypatch, lambda: prepare("kits", kits, tmp_path / "out", table))
    path = prepare("lits", lits, tmp_path / "out", table)
    assert names_of(path) == sorted([f"kidney_{i:05d}" for i in range(5)] + [f"liver_{i}" for i in range(5)])
    assert [entry.name for entry in (tmp_path / "out").iterdir()] == ["datalist.json"]


def test_of_two_runs_at_a_time_the_second_takes_no_name_and_no_label_map_of_the_first(tmp_path, monkeypatch):
    labels, table = {"background": 0, "rim": 1, "core": 2}, tumours()
    first, second = (labelled(tmp_path / name, labels) for name in ("d1", "d2"))
    for path in (first / "labelsTr").iterdir():
        write(path, np.ones((6, 6, 6), np.uint8))
    meanwhile(monkeypatch, lambda: prepare("nnunet", first, tmp_path / "out", table, "tumours"))
    with pytest.raises(ValueError, match=r"another run has meanwhile added cases .* prepare nnunet again"):
        prepare("nnunet", second, tmp_path / "out", table, "tumours")
    path = tmp_path / "out" / "datalist.json"
    assert names_of(path) == ["a_0", "a_1", "a_2"]
    for case in load_datalist(path, "training"):
        assert (np.asarray(nib.load(case["label"]).dataobj) == 2).all()
    prepare("nnunet", second, tmp_path / "out", table, "tumours")
    assert names_of(path) == ["a_0", "a_1", "a_2", "d2_a_0", "d2_a_1", "d2_a_2"]


def test_a_lock_that_a_dead_run_has_left_is_named(tmp_path, table, monkeypatch):
    monkeypatch.setattr(datalist, "_PATIENCE", 0.2)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".datalist.json.lock").touch()
    with pytest.raises(ValueError, match=r"datalist\.json\.lock is there.*delete the lock"):
        prepare("lits", miniature(tmp_path / "raw", "lits"), tmp_path / "out", table)
    assert not (tmp_path / "out" / "datalist.json").exists()


@pytest.mark.parametrize("sources", [("lits", "msd03"), ("msd03", "lits")])
def test_the_same_scans_under_two_names_are_not_mixed(tmp_path, table, sources):
    first, second = sources
    path = prepare(first, miniature(tmp_path / first, first), tmp_path / "out", table)
    before = path.read_text()
    with pytest.raises(ValueError, match=rf"has cases of {first}, which are the scans of {second} .*another folder"):
        prepare(second, miniature(tmp_path / second, second), tmp_path / "out", table)
    assert path.read_text() == before


def split_of(path, **sections):
    path.write_text(json.dumps(sections))
    return path


def test_copies_of_a_scan_under_other_names_are_drawn_to_one_side(tmp_path, caplog):
    root = nnunet(tmp_path / "raw", [f"a_{index}" for index in range(8)])
    for index in range(0, 8, 2):  # the same voxels in another type, with another header
        write(root / f"imagesTr/a_{index + 1}_0000.nii.gz", image_of(root, f"a_{index}").astype(np.int16), np.eye(4))
        write(root / f"labelsTr/a_{index + 1}.nii.gz", np.ones((6, 6, 6), np.uint8), np.eye(4))
    for seed in range(4):
        sides = sides_of(prepare("nnunet", root, tmp_path / "out", OWN, "schwannoma", seed=seed))
        assert len(sides["validation"]) == 2
        assert not {int(name[2:]) // 2 for name in sides["training"]} & {
            int(name[2:]) // 2 for name in sides["validation"]
        }
    assert "4 of 8 cases hold the same image as another one" in caplog.text and "a_3 as a_2" in caplog.text


def test_copies_on_both_sides_of_a_split_are_refused(tmp_path):
    root = nnunet(tmp_path / "raw")
    shutil.copy(root / "imagesTr/a_0_0000.nii.gz", root / "imagesTr/a_2_0000.nii.gz")
    split = split_of(tmp_path / "split.json", training=["a_0", "a_1"], validation=["a_2"])
    with pytest.raises(ValueError, match=r"split\.json puts copies of 1 scan.*\n  a_0 in training, a_2 in validation"):
        prepare("nnunet", root, tmp_path / "out", OWN, "schwannoma", split)
    assert not (tmp_path / "out").exists()


def test_all_cases_of_patients_who_share_a_scan_are_of_one_patient(tmp_path):
    root = nnunet(tmp_path / "raw", ["p1_a", "p1_b", "p2_a", "p2_b", "p3_a"])
    shutil.copy(root / "imagesTr/p1_a_0000.nii.gz", root / "imagesTr/p2_a_0000.nii.gz")
    split = split_of(tmp_path / "split.json", training=["p1_a", "p1_b"], validation=["p2_b", "p3_a"])
    with pytest.raises(ValueError, match=r"puts 1 patient.*\n  p1: p1_a, p1_b in training, p2_b in validation"):
        prepare("nnunet", root, tmp_path / "out", OWN, "schwannoma", split, group=r"p\d")


@pytest.mark.parametrize("busy", [False, True])
def test_copies_of_scans_that_another_data_set_has_are_refused_on_the_other_side(tmp_path, table, monkeypatch, busy):
    lits, root = miniature(tmp_path / "lits", "lits"), nnunet(tmp_path / "own")
    shutil.copy(lits / "Training_Batch1/volume-3.nii", root / "imagesTr/a_1_0000.nii")
    (root / "imagesTr/a_1_0000.nii.gz").unlink()
    write(root / "labelsTr/a_1.nii.gz", np.ones((6, 6, 6), np.uint8))
    kept = split_of(tmp_path / "lits.json", training=["liver_1", "liver_3"], validation=["liver_2"])
    options = {"tasks": OWN, "task": "schwannoma"}
    other = split_of(tmp_path / "other.json", training=["a_0"], validation=["a_1", "a_2"])

    def first():
        prepare("lits", lits, tmp_path / "out", table, split=kept)

    meanwhile(monkeypatch, first) if busy else first()
    with pytest.raises(ValueError, match=r"other\.json puts copies of 1 .*\n  a_1 in validation, liver_3 in training"):
        prepare("nnunet", root, tmp_path / "out", split=other, **options)
    same = split_of(tmp_path / "same.json", training=["a_1", "a_0"], validation=["a_2"])
    path = prepare("nnunet", root, tmp_path / "out", split=same, **options)
    assert names_of(path) == ["a_0", "a_1", "a_2", "liver_1", "liver_2", "liver_3"]


def test_entries_whose_scans_are_away_are_named_and_not_compared(tmp_path, table, caplog):
    lits = miniature(tmp_path / "lits", "lits")
    prepare("lits", lits, tmp_path / "out", table)
    (lits / "Training_Batch1/volume-3.nii").unlink()
    path = prepare("nnunet", nnunet(tmp_path / "own"), tmp_path / "out", OWN, "schwannoma")
    assert len(names_of(path)) == 8 and "not compared with the other scans of" in caplog.text
    assert re.search(r"datalist\.json: liver_3 \(cannot read .*volume-3\.nii", caplog.text)


def test_copies_among_other_data_sets_stop_no_data_set_and_are_named(tmp_path, caplog):
    old, root = nnunet(tmp_path / "old", ["b_0", "b_1", "b_2"]), nnunet(tmp_path / "own")
    split = split_of(tmp_path / "old.json", training=["b_0", "b_1"], validation=["b_2"])
    path = prepare("nnunet", old, tmp_path / "out", OWN, "schwannoma", split)
    shutil.copy(old / "imagesTr/b_0_0000.nii.gz", old / "imagesTr/b_2_0000.nii.gz")  # as earlier versions divided them
    prepare("nnunet", root, tmp_path / "out", OWN, "schwannoma")
    assert names_of(path) == ["a_0", "a_1", "a_2", "b_0", "b_1", "b_2"]
    assert re.search(r"copies of 1 scan.*prepare those data sets again:\n  b_0 in training, b_2 in valid", caplog.text)
    shutil.copy(old / "imagesTr/b_0_0000.nii.gz", root / "imagesTr/a_1_0000.nii.gz")
    split = split_of(tmp_path / "own.json", training=["a_0", "a_1"], validation=["a_2"])
    with pytest.raises(ValueError, match=r"\n  a_1, b_0 in training, b_2 in validation"):
        prepare("nnunet", root, tmp_path / "out", OWN, "schwannoma", split)


def test_a_scan_of_another_data_set_with_damaged_voxels_is_named_and_not_compared(tmp_path, caplog):
    old, root = nnunet(tmp_path / "old", ["b_0", "b_1"]), nnunet(tmp_path / "own")
    path = prepare("nnunet", old, tmp_path / "out", OWN, "schwannoma")
    file = old / "imagesTr/b_1_0000.nii.gz"
    write(file, np.random.default_rng(0).normal(size=(6, 6, 6)).astype(np.float32))
    file.write_bytes(file.read_bytes()[:-200])
    prepare("nnunet", root, tmp_path / "out", OWN, "schwannoma")
    assert len(names_of(path)) == 5
    assert re.search(r"not compared with .*datalist\.json: b_1 \(cannot read .*b_1_0000\.nii\.gz", caplog.text)


def test_scans_of_different_sizes_are_not_read_to_compare_them(tmp_path, monkeypatch):
    root = nnunet(tmp_path / "raw")
    for index in range(3):
        write(root / f"imagesTr/a_{index}_0000.nii.gz", np.ones((6, 6, 6 + index), np.float32))
        write(root / f"labelsTr/a_{index}.nii.gz", np.ones((6, 6, 6 + index), np.uint8))
    monkeypatch.setattr("uniseg_nets.prepare.copies.LoadCase", pytest.fail)
    prepare("nnunet", root, tmp_path / "out", OWN, "schwannoma")


def test_people_of_one_name_in_two_folders_count_as_one_and_the_way_out_is_named(tmp_path):
    (tmp_path / "one.json").write_text(json.dumps({"training": ["patient1_a"], "validation": ["patient2_a"]}))
    (tmp_path / "two.json").write_text(json.dumps({"training": ["patient2_b"], "validation": ["patient1_b"]}))
    a, b = (nnunet(tmp_path / f"site_{s}", [f"patient{i}_{s}" for i in (1, 2)]) for s in "ab")
    prepare("nnunet", a, tmp_path / "out", OWN, "schwannoma", tmp_path / "one.json", group="patient[0-9]")
    with pytest.raises(ValueError, match=r"site_b and .*site_a count as one person.*rename .*`--group`.*`--split`"):
        prepare("nnunet", b, tmp_path / "out", OWN, "schwannoma", tmp_path / "two.json", group="patient[0-9]")
    prepare("nnunet", b, tmp_path / "out", OWN, "schwannoma", tmp_path / "two.json", group="patient[0-9]_b")


def test_entries_of_an_earlier_version_are_replaced_by_their_folder(tmp_path):
    path = prepare("nnunet", nnunet(tmp_path / "d1"), tmp_path / "out", OWN, "schwannoma")
    content = json.loads(path.read_text())
    for entry in content["training"] + content["validation"]:
        del entry["folder"]
    path.write_text(json.dumps(content))
    prepare("nnunet", tmp_path / "d1", tmp_path / "out", OWN, "schwannoma")
    assert names_of(path) == ["a_0", "a_1", "a_2"]


def test_a_patient_whose_other_cases_are_in_the_datalist_already_stays_on_their_side(tmp_path):
    (tmp_path / "one.json").write_text(json.dumps({"training": ["p1_ED"], "validation": ["p2_ED"]}))
    (tmp_path / "two.json").write_text(json.dumps({"training": ["p2_ES"], "validation": ["p1_ES"]}))
    options = {"task": "schwannoma", "group": r"p\d"}
    ed, es = (nnunet(tmp_path / kind, [f"p1_{kind}", f"p2_{kind}"]) for kind in ("ED", "ES"))
    path = prepare("nnunet", ed, tmp_path / "out", OWN, split=tmp_path / "one.json", **options)
    before = path.read_text()
    with pytest.raises(
        ValueError, match=r"two.json puts 2 patient.*\n  p2: p2_ES in training, p2_ED in validation\n  p1"
    ):
        prepare("nnunet", es, tmp_path / "out", OWN, split=tmp_path / "two.json", **options)
    with pytest.raises(ValueError, match=r"the split drawn by seed \d \(choose one with `--split`\) puts"):
        for seed in range(9):  # one of them puts a patient elsewhere
            prepare("nnunet", es, tmp_path / "out", OWN, seed=seed, validation_share=0.5, **options)
            (tmp_path / "out" / "datalist.json").write_text(before)
    assert path.read_text() == before


def test_an_nnunet_folder_is_read_for_a_task_of_one_s_own(tmp_path):
    root = nnunet(tmp_path / "Dataset001")
    path = prepare("nnunet", root, tmp_path / "out", OWN, "schwannoma")
    assert {case["name"] for case in load_datalist(path, "training")} <= {"a_0", "a_1", "a_2"}
    with pytest.raises(ValueError, match="belongs to no official task"):
        prepare("nnunet", root, tmp_path / "out", OWN)


def tumours(**more):
    classes = ["core", "rim"]
    return TaskTable([{"name": "tumours", "channels": ["T1"], "spacing": [1, 1, 1], "classes": classes, **more}])


def labelled(root, labels):
    """An nnU-Net folder whose label maps hold all values of its ``dataset.json``."""
    nnunet(root)
    for path in (root / "labelsTr").iterdir():
        volume = np.zeros((6, 6, 6), np.uint8)
        for place, value in enumerate(labels.values()):
            volume[place] = value
        write(path, volume)
    (root / "dataset.json").write_text(json.dumps({"channel_names": {"0": "T1"}, "labels": labels}))
    return root


@pytest.mark.parametrize(
    ("values", "labels", "own"),
    [
        ([50, 200], {"background": 0, "a": 50, "b": 200}, [0, 1, 2]),
        (None, {"background": 0, "core": 50, "rim": 200}, [0, 1, 2]),
        (None, {"background": 0, "rim": 1, "core": 2}, [0, 2, 1]),
        (None, {"background": 0, "Rim": 1, "Core": 2}, [0, 2, 1]),
    ],
    ids=["the table's values", "the table's names", "names in another order", "names with capitals"],
)
def test_label_values_of_an_nnunet_folder_become_the_task_s_own(tmp_path, caplog, values, labels, own):
    caplog.set_level(logging.INFO)
    table = tumours(**({} if values is None else {"values": values}))
    path = prepare("nnunet", labelled(tmp_path / "raw", labels), tmp_path / "out", table, "tumours")
    for case in load_datalist(path, "training"):
        assert [int(nib.load(case["label"]).dataobj[place, 0, 0]) for place in range(3)] == own
    (named,) = (record.message for record in caplog.records if " is core" in record.message)
    assert all(
        f"{name} ({value}) is {table.one(0).classes[number - 1]}" in named
        for (name, value), number in list(zip(labels.items(), own))[1:]
    )
    assert ("its values are believed" in caplog.text) == (values is not None)


@pytest.mark.parametrize(
    ("labels", "task", "stray"),
    [
        ({"background": 0, "core": 2}, {}, 1),  # 1 is an organ without a name, and would be `core`
        ({"background": 0, "a": 50, "b": 200}, {"values": [50, 200]}, 1),
    ],
)
def test_a_value_that_a_folder_does_not_name_becomes_no_class(tmp_path, labels, task, stray):
    root = labelled(tmp_path / "raw", labels)
    volume = np.asarray(nib.load(root / "labelsTr/a_1.nii.gz").dataobj).copy()
    volume[5] = stray
    write(root / "labelsTr/a_1.nii.gz", volume)
    named = ", ".join(str(value) for value in labels.values() if value)
    with pytest.raises(ValueError, match=rf"a_1\.nii\.gz holds values \[{stray}\], expected 0 and {named}: correct"):
        prepare("nnunet", root, tmp_path / "out", tumours(**task), "tumours")
    assert not (tmp_path / "out").exists()


def test_a_value_that_a_data_set_does_not_have_becomes_no_class(tmp_path, table):
    root = miniature(tmp_path / "raw", "brats21")
    write(root / LAYOUTS["brats21"][0][-1].format(i=2), np.full((6, 6, 6), 3, np.uint8))
    with pytest.raises(ValueError, match=r"00002_seg\.nii\.gz holds values \[3\], expected 0 and 1, 2, 4"):
        prepare("brats21", root, tmp_path / "out", table)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"spleen": 1}, r"spleen \(1\) are no classes of tumours, which has core, rim: name [^`]*$"),
        ({"cancer": 1, "hepar": 2}, r"cancer \(1\), hepar \(2\) are no classes of tumours"),
        ({"rim": 1, "tumor": 2}, r"tumor \(2\) are no classes of tumours, .*background with `--others_as_background`"),
    ],
)
def test_a_label_that_is_no_class_of_the_task_is_not_taken_for_one_by_its_value(tmp_path, labels, message):
    root = labelled(tmp_path / "raw", {"background": 0, **labels})
    with pytest.raises(ValueError, match=rf"dataset\.json: {message}"):
        prepare("nnunet", root, tmp_path / "out", tumours(), "tumours")
    assert not (tmp_path / "out").exists()


def test_one_organ_of_a_folder_of_many_is_a_task_with_the_others_as_background(tmp_path, uniseg):
    root = labelled(tmp_path / "raw", {"background": 0, "spleen": 1, "rim": 2, "aorta": 3})
    task = {"name": "tumours", "channels": ["T1"], "spacing": [1, 1, 1], "classes": ["core", "rim"]}
    (tmp_path / "tasks.json").write_text(json.dumps({"tasks": [task]}))
    options = ["--task=tumours", f"--tasks_file={tmp_path / 'tasks.json'}"]
    assert uniseg("prepare", "nnunet", root, tmp_path / "out", *options) == 1
    assert uniseg("prepare", "nnunet", root, tmp_path / "out", *options, "--others_as_background") == 0
    for case in load_datalist(tmp_path / "out" / "datalist.json", "training"):
        assert [int(nib.load(case["label"]).dataobj[place, 0, 0]) for place in range(4)] == [0, 0, 2, 0]
    with pytest.raises(ValueError, match="others_as_background is for nnunet folders, and lits has its own"):
        prepare("lits", miniature(tmp_path / "lits", "lits"), tmp_path / "out", others_as_background=True)


def test_voxels_that_nnunet_ignores_are_no_class(tmp_path):
    root = labelled(tmp_path / "raw", {"background": 0, "core": 1, "rim": 2, "ignore": 3})
    with pytest.raises(ValueError, match=r"dataset\.json: label 3 is 'ignore', nnU-Net's name"):
        prepare("nnunet", root, tmp_path / "out", tumours(), "tumours")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda r: (r / "Training_Batch1/volume-2.nii").unlink(), r"segmentation-2\.nii: no image .*volume-2\.nii"),
        (
            lambda r: write(r / "Training_Batch1/volume-2.nii", np.ones((6, 6, 5), np.float32)),
            r"volume-2\.nii .*differ in grid",
        ),
        (
            lambda r: write(r / "Training_Batch1/segmentation-2.nii", np.full((6, 6, 6), 5, np.uint8)),
            r"segmentation-2\.nii holds values \[5.*classes 1 to 2",
        ),
        (lambda r: (r / "Training_Batch1/segmentation-2.nii").write_text("text"), r"cannot read .*segmentation-2\.nii"),
    ],
)
def test_a_faulty_case_is_named_and_nothing_is_written(tmp_path, table, spoil, message):
    root = miniature(tmp_path / "raw", "lits")
    spoil(root)
    with pytest.raises(ValueError, match=message):
        prepare("lits", root, tmp_path / "out", table)
    assert not (tmp_path / "out").exists()


def test_data_sets_of_the_decathlon_may_lie_side_by_side(tmp_path):
    for source, folder in (("msd02", "Task02_Heart"), ("msd04", "Task04_Hippocampus")):
        miniature(tmp_path / "raw" / folder, source)
    path = prepare("msd04", tmp_path / "raw", tmp_path / "out")  # the table that has the task is found
    assert names_of(path) == [f"hippocampus_00{index}" for index in range(5)]


@pytest.mark.parametrize("download", [False, True])
@pytest.mark.parametrize(("folder", "name"), [("Task06_Lung", None), ("raw", "LUNG")])
def test_the_own_folder_of_a_task_of_the_decathlon_is_not_taken_for_another(tmp_path, table, folder, name, download):
    root = miniature(tmp_path / folder, "msd06")
    if name is not None:
        (root / "dataset.json").write_text(json.dumps({"name": name}))
    with pytest.raises(ValueError, match=rf"{folder} is '{name or folder}' by its .*, expected Task10_Colon: name"):
        prepare("msd10", root, tmp_path / "out", table, download=download)
    assert names_of(prepare("msd06", root, tmp_path / "out", table))[0] == "lung_000"


def test_files_that_are_not_nifti_are_named(tmp_path, table):
    root = nnunet(tmp_path, [])
    for folder in ("imagesTr", "labelsTr"):
        (root / folder).mkdir()
        (root / folder / "a_0.mha").touch()
    found = (
        r"no case of nnunet in .*: expected label files like labelsTr/ID\.nii\.gz; it has files in \.mha, and `uniseg"
    )
    with pytest.raises(FileNotFoundError, match=found):
        prepare("nnunet", root, tmp_path / "out", OWN, "schwannoma")
    (root / "dataset.json").write_text(json.dumps({"channel_names": {"0": "T1"}, "file_ending": ".mha"}))
    with pytest.raises(ValueError, match=r"dataset\.json: its files end in \.mha, and .* NIfTI alone: convert them"):
        prepare("nnunet", root, tmp_path / "out", OWN, "schwannoma")


@pytest.mark.parametrize("source", SOURCES)
def test_expected_files_are_shown_as_a_path(source):
    assert not set("()?*+|^") & set(SOURCES[source].expected)


@pytest.mark.parametrize(
    ("shape", "channels"), [((6, 5), 1), ((6, 5, 4, 1, 2), 2), ((6, 5, 4, 1, 1), 1), ((6, 5, 4, 2), 2)]
)
def test_files_that_the_loader_reads_are_read(tmp_path, shape, channels):
    entry = {"name": "t", "channels": ["MR"] * channels, "spacing": [1, 1, 1], "classes": ["a"]}
    root = nnunet(tmp_path, [])
    for name in ("a", "b"):
        write(root / f"imagesTr/{name}_0000.nii.gz", np.ones(shape, np.float32))
        write(root / f"labelsTr/{name}.nii.gz", np.ones(shape[:3], np.uint8))
    case = load_datalist(prepare("nnunet", root, tmp_path / "out", TaskTable([entry]), "t"), "training")[0]
    assert LoadCase()(case["image"]).shape[0] == channels
    with pytest.raises(ValueError, match=r"cannot read .*a_0000.* size \(6, 5, 4, 2, 2\), expected"):
        write(root / "imagesTr/a_0000.nii.gz", np.ones((6, 5, 4, 2, 2), np.float32))
        prepare("nnunet", root, tmp_path / "out", TaskTable([entry]), "t")


def test_a_task_of_the_decathlon_is_not_taken_for_another(tmp_path, table):
    miniature(tmp_path / "raw" / "Task06_Lung", "msd06")
    with pytest.raises(FileNotFoundError, match=r"no case of msd09 in .*: expected its folder Task09_Spleen"):
        prepare("msd09", tmp_path / "raw", tmp_path / "out", table)


def test_a_task_that_the_table_lacks_is_named(tmp_path, table):
    with pytest.raises(ValueError, match="msd04 trains hippocampus, name a `--tasks_file` that has this task"):
        prepare("msd04", tmp_path, tmp_path / "out", table)


def test_a_folder_of_another_data_set_is_refused(tmp_path, table):
    with pytest.raises(FileNotFoundError, match="no case of kits in"):
        prepare("kits", miniature(tmp_path / "raw", "lits"), tmp_path / "out", table)
    with pytest.raises(ValueError, match="unknown data set 'litz': choose one of lits"):
        prepare("litz", tmp_path, tmp_path / "out", table)
