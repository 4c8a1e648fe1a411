import json

import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import aff2axcodes

from uniseg_nets.phantom import make_phantom, write_phantom_pictures, write_phantom_tasks, write_phantoms
from uniseg_nets.tasks import TaskTable, load_task_table

TASKS = [task.name for task in load_task_table()]


@pytest.mark.parametrize("name", TASKS)
def test_every_task_s_patient_has_its_channels_and_all_its_classes(table, name):
    task = table.one(name)
    phantom = make_phantom(task, seed=1)
    assert phantom.image.shape == (len(task.channels), *phantom.label.shape)
    assert np.unique(phantom.label).tolist() == list(range(task.num_outputs))
    assert np.isfinite(phantom.image).all()


def test_ct_is_in_hounsfield_units(table):
    image = make_phantom(table.one("liver"), seed=1).image[0]
    liver = image[make_phantom(table.one("liver"), seed=1).label == 1]
    assert image.min() < -900 and 60 < np.median(liver) < 160


def test_ct_tasks_of_one_seed_see_the_same_patient(table):
    liver, spleen = (make_phantom(table.one(name), seed=5) for name in ("liver", "spleen"))
    np.testing.assert_array_equal(liver.image, spleen.image)
    assert not np.array_equal(liver.label, spleen.label)


def test_the_seed_decides_every_voxel(table):
    first, again, other = (make_phantom(table.one("prostate"), seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.image, again.image)
    assert first.image.shape != other.image.shape or not np.array_equal(first.image, other.image)


def test_spacing_and_orientation_are_as_asked(table):
    phantom = make_phantom(table.one("prostate"), seed=1, spacing=(1, 2, 3), orientation="PIR")
    assert "".join(aff2axcodes(phantom.affine)) == "PIR"
    np.testing.assert_allclose(np.linalg.norm(phantom.affine[:3, :3], axis=0), (2, 3, 1))


def test_files_are_an_nnunet_folder(table, tmp_path):
    names = write_phantoms(tmp_path, table.one("whole_body_tumour"), count=2, seed=4)
    assert names == ["whole_body_tumour_0004", "whole_body_tumour_0005"]
    image = nib.load(tmp_path / "imagesTr" / f"{names[0]}_0001.nii.gz")
    assert image.shape == nib.load(tmp_path / "labelsTr" / f"{names[0]}.nii.gz").shape
    description = json.loads((tmp_path / "dataset.json").read_text())
    assert description["channel_names"] == {"0": "CT", "1": "PET"} and description["numTraining"] == 2


def test_a_datalist_over_tasks_splits_patients(table, tmp_path):
    path = write_phantom_tasks(tmp_path, [table.one("prostate"), table.one("whole_body_tumour")], 1, validation=1)
    content = json.loads(path.read_text())
    assert [case["task"] for case in content["training"]] == ["prostate", "whole_body_tumour"]
    used = {case["label"] for section in content.values() for case in section}
    assert len(used) == 4 and all((tmp_path / label).is_file() for label in used)


def test_phantoms_replace_no_scans_of_a_folder_without_their_description(table, tmp_path):
    scan = tmp_path / "prostate" / "imagesTr" / "prostate_0000_0000.nii.gz"
    scan.parent.mkdir(parents=True)
    scan.write_bytes(b"mine")
    with pytest.raises(
        FileExistsError, match=r"prostate has files and no dataset\.json of phantoms: choose another OUT"
    ):
        write_phantom_tasks(tmp_path, [table.one("liver"), table.one("prostate")], 1)
    assert scan.read_bytes() == b"mine" and not (tmp_path / "liver").exists()


def test_phantoms_of_a_run_that_was_stopped_are_written_again(table, tmp_path, monkeypatch):
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("uniseg_nets.phantom.write.nib.save", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        write_phantom_tasks(tmp_path, [table.one("prostate")], 1)
    write_phantom_tasks(tmp_path, [table.one("prostate")], 1)
    assert json.loads((tmp_path / "prostate" / "dataset.json").read_text())["numTraining"] == 1


@pytest.mark.parametrize("folder", ["images", "masks"])
def test_synthetic_images_replace_none_of_a_folder_without_their_datalist(tmp_path, folder):
    image = tmp_path / folder / "xray_00000.png"
    image.parent.mkdir()
    image.write_bytes(b"mine")
    with pytest.raises(FileExistsError, match=rf"{folder} has files and there is no datalist\.json of phantoms"):
        write_phantom_pictures(tmp_path)
    assert image.read_bytes() == b"mine" and [path.name for path in tmp_path.iterdir()] == [folder]


def test_a_task_that_no_phantom_has_is_refused():
    table = TaskTable([{"name": "x", "channels": ["US"], "spacing": [1, 1, 1], "classes": ["cyst"]}])
    with pytest.raises(ValueError, match="no phantom for task 'x' with channels US"):
        make_phantom(table.one("x"), seed=0)
