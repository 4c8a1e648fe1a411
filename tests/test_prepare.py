"""Each data set on a miniature copy of its real layout."""

import json

import nibabel as nib
import numpy as np
import pytest

from uniseg_nets.data import load_datalist
from uniseg_nets.prepare import SOURCES, prepare
from uniseg_nets.tasks import TaskTable

# Source -> files of one case; "{i}" counts cases. The last is the label, with the values that stand there.
LAYOUTS = {
    "lits": (["Training_Batch1/volume-{i}.nii", "Training_Batch1/segmentation-{i}.nii"], (0, 1, 2)),
    "kits": (["data/case_0000{i}/imaging.nii.gz", "data/case_0000{i}/segmentation.nii.gz"], (0, 1, 2)),
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


def miniature(root, source, cases=5):
    files, values = LAYOUTS[source]
    for i in range(cases):
        *images, label = (root / name.format(i=i) for name in files)
        for image in images:
            write(image, np.full((6, 6, 6), i, np.float32))
        volume = np.zeros((6, 6, 6), np.uint8)
        volume.flat[: len(values)] = values
        write(label, volume)
    return root


def table_of(source, table):
    return table if SOURCES[source].task else OWN


@pytest.mark.parametrize("source", SOURCES)
def test_a_data_set_becomes_cases_with_the_task_s_own_values(tmp_path, table, source):
    tasks = table_of(source, table)
    own = {"btcv": "abdomen", "vs": "schwannoma"}.get(source)
    path = prepare(source, miniature(tmp_path / "raw", source), tmp_path / "out", tasks, own)
    cases = load_datalist(path, "training") + load_datalist(path, "validation")
    task = tasks.one(own or SOURCES[source].task)
    assert len(cases) == 5 and len(load_datalist(path, "validation")) == 1
    for case in cases:
        assert case["task"] == task.name and len(case["image"]) == len(task.channels)
        label = nib.load(case["label"])
        assert set(np.unique(label.dataobj)) <= set(range(task.num_outputs))
        image = nib.load(case["image"][0])
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


def test_an_nnunet_folder_is_read_for_a_task_of_one_s_own(tmp_path):
    root = tmp_path / "Dataset001"
    for i in range(3):
        write(root / f"imagesTr/a_{i}_0000.nii.gz", np.ones((6, 6, 6), np.float32))
        write(root / f"labelsTr/a_{i}.nii.gz", np.ones((6, 6, 6), np.uint8))
    (root / "dataset.json").write_text(json.dumps({"channel_names": {"0": "T1"}}))
    path = prepare("nnunet", root, tmp_path / "out", OWN, "schwannoma")
    assert {case["name"] for case in load_datalist(path, "training")} <= {"a_0", "a_1", "a_2"}
    with pytest.raises(ValueError, match="belongs to no official task"):
        prepare("nnunet", root, tmp_path / "out", OWN)


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


def test_a_folder_of_another_data_set_is_refused(tmp_path, table):
    with pytest.raises(FileNotFoundError, match="no case of kits in"):
        prepare("kits", miniature(tmp_path / "raw", "lits"), tmp_path / "out", table)
    with pytest.raises(ValueError, match="unknown data set 'litz': choose one of lits"):
        prepare("litz", tmp_path, tmp_path / "out", table)
