import gzip
import json
import os

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, ornt_transform
from scipy.spatial.transform import Rotation

from uniseg_nets.transforms import LabelMapd, LoadCased, PreprocessCased, SaveLabelMapd


def there_and_back(table, task, image, label, values="task"):
    """A label map through preprocessing, as perfect scores, and back."""
    case = {"name": "case", "image": image, "label": label}
    case = LoadCased(["image", "label"])(case)
    case = PreprocessCased(["image", "label"], table, task)(case)
    own = case["label"][0].long()
    case["pred"] = torch.nn.functional.one_hot(own, table.one(task).num_outputs).movedim(-1, 0).float()
    return LabelMapd("pred", table, task, values=values)(case)


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


GEOMETRIES = {
    "RAS": ("RAS", None),
    "LPS": ("LPS", None),
    "permuted": ("PIR", None),
    "oblique": ("LAS", (15, -10, 25)),
}


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_a_perfect_prediction_comes_back_to_the_file_s_grid(table, prostate, write_scan, tmp_path, geometry):
    codes, angles = GEOMETRIES[geometry]
    turn = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(codes))
    affine = prostate.affine @ inv_ornt_aff(turn, prostate.label.shape)
    if angles:
        rotation = np.eye(4)
        rotation[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
        affine = rotation @ affine
    label = np.ascontiguousarray(apply_orientation(prostate.label, turn))
    scan = write_scan("a.nii.gz", np.ascontiguousarray(apply_orientation(prostate.image[0], turn)), affine)
    case = there_and_back(table, "prostate", scan, write_scan("l.nii.gz", label, affine))
    SaveLabelMapd("pred", tmp_path / "out", table, "prostate", values="task")(case)
    saved = nib.load(tmp_path / "out" / "case.nii.gz")
    assert saved.shape == label.shape and saved.get_data_dtype() == np.uint8
    np.testing.assert_allclose(saved.affine, nib.load(scan).affine, atol=1e-6)
    assert dice(np.asarray(saved.dataobj) == 1, label == 1) > 0.95


def test_sform_and_qform_and_their_codes_are_the_scan_s(table, prostate, tmp_path):
    image = nib.Nifti1Image(prostate.image[0], prostate.affine)
    shifted = prostate.affine.copy()
    shifted[:3, 3] += 5
    image.set_sform(prostate.affine, code="mni")
    image.set_qform(shifted, code="aligned")
    image.header.set_intent("vector")
    nib.save(image, tmp_path / "a.nii.gz")
    label = nib.Nifti1Image(prostate.label, prostate.affine)
    nib.save(label, tmp_path / "l.nii.gz")
    case = there_and_back(table, "prostate", tmp_path / "a.nii.gz", tmp_path / "l.nii.gz")
    SaveLabelMapd("pred", tmp_path / "out", table, "prostate")(case)
    saved = nib.load(tmp_path / "out" / "case.nii.gz")
    scan = nib.load(tmp_path / "a.nii.gz")
    assert int(saved.header["sform_code"]) == 4 and int(saved.header["qform_code"]) == 2
    np.testing.assert_allclose(saved.get_sform(), scan.get_sform())
    np.testing.assert_allclose(saved.get_qform(), scan.get_qform())
    assert saved.header.get_xyzt_units() == scan.header.get_xyzt_units()
    assert saved.header.get_intent()[0] == "none"  # a label map holds no vectors


def test_values_are_written_as_they_are_whatever_the_scan_s_slope(table, write_scan, tmp_path):
    volume = np.linspace(-500, 500, 512).reshape(8, 8, 8)
    path = write_scan("a.nii.gz", volume)
    image = nib.Nifti1Image(volume, np.eye(4))
    image.header.set_data_dtype(np.int16)
    image.header.set_slope_inter(0.5, -1024)
    nib.save(image, path)
    label = MetaTensor(torch.full((1, 8, 8, 8), 11, dtype=torch.uint8), meta={"filename_or_obj": str(path)})
    SaveLabelMapd("pred", tmp_path / "out", table, "spleen")({"name": "a", "image": [str(path)], "pred": label})
    saved = nib.load(tmp_path / "out" / "a.nii.gz")
    assert (np.asarray(saved.dataobj) == 11).all() and (saved.dataobj.slope, saved.dataobj.inter) == (1, 0)


def test_what_an_anisotropic_scan_s_thin_slices_hold_comes_back(table, write_scan):
    volume = np.random.default_rng(0).normal(size=(60, 60, 10)).astype(np.float32) + 50
    label = np.zeros((60, 60, 10), dtype=np.uint8)
    label[15:45, 15:45, 3:7] = 1
    affine = np.diag([0.8, 0.8, 5, 1])
    case = there_and_back(
        table, "spleen", write_scan("a.nii.gz", volume, affine), write_scan("l.nii.gz", label, affine)
    )
    assert dice(case["pred"][0].numpy() == 1, label == 1) > 0.97


def test_global_values_are_those_of_the_union(table, write_scan):
    label = np.zeros((20, 20, 20), dtype=np.uint8)
    label[5:10], label[10:15] = 1, 2
    affine = np.diag([1.5, 1.5, 3, 1])
    scan = write_scan("a.nii.gz", np.ones((20, 20, 20), dtype=np.float32), affine)
    case = there_and_back(table, "pancreas", scan, write_scan("l.nii.gz", label, affine), values="global")
    assert case["pred"].unique().tolist() == [0, 7, 8]


@pytest.mark.parametrize("where", [(0, 5, 5, 5), (1, 5, 5, 5)])
def test_scores_that_are_no_numbers_are_no_background(table, write_scan, where):
    scan = write_scan("a.nii.gz", np.ones((20, 20, 20), dtype=np.float32), np.diag([1.5, 1.5, 3, 1]))
    case = PreprocessCased("image", table, "spleen")(LoadCased("image")({"image": scan}))
    scores = torch.zeros(2, *case["image"].shape[1:])
    scores[where] = torch.nan
    with pytest.raises(ValueError, match=r"scores are not finite.*precision fp32"):
        LabelMapd("pred", table, "spleen")({**case, "pred": scores})


def test_in_a_merged_map_the_later_task_counts(table, write_scan):
    scan = write_scan("a.nii.gz", np.ones((20, 20, 20), dtype=np.float32), np.diag([1.5, 1.5, 3, 1]))
    case = PreprocessCased("image", table, "all_ct")(LoadCased("image")({"image": scan}))
    scores = [torch.zeros(task.num_outputs, 20, 20, 20) for task in table.select("all_ct")]
    for part in scores:
        part[0] = 0.5
    scores[0][1, :, :, :10] = 1  # liver, and spleen over a part of it
    scores[6][1, :, :, 5:10] = 1
    case["pred"] = torch.cat(scores)
    label = LabelMapd("pred", table, "all_ct")(case)["pred"][0]
    assert label[0, 0, 0] == 1 and label[5, 0, 0] == 11 and label[15, 0, 0] == 0
    assert label.unique().tolist() == [0, 1, 11]


def test_the_json_says_what_the_values_mean_and_what_made_them(table, prostate, write_scan, tmp_path):
    scan = write_scan("a.nii.gz", prostate.image[0], prostate.affine)
    case = there_and_back(table, "prostate", scan, write_scan("l.nii.gz", prostate.label, prostate.affine))
    weights = tmp_path / "w.pt"
    weights.write_bytes(b"weights")
    SaveLabelMapd("pred", tmp_path / "out", table, "prostate", weights=weights, metadata={"overlap": 0.5})(case)
    record = json.loads((tmp_path / "out" / "case.json").read_text())
    assert record["labels"] == {"0": "background", "13": "prostate"}
    assert record["task"] == "prostate" and record["image"] == "a.nii.gz" and record["overlap"] == 0.5
    assert len(record["weights_sha256"]) == 64 and set(record["versions"]) == {"uniseg_nets", "monai", "torch"}


def test_a_result_never_overwrites_its_own_scan(table, prostate, write_scan, tmp_path):
    scan = write_scan("case.nii.gz", prostate.image[0], prostate.affine)
    before = scan.read_bytes()
    case = there_and_back(table, "prostate", scan, write_scan("l.nii.gz", prostate.label, prostate.affine))
    with pytest.raises(ValueError, match="would overwrite its own image"):
        SaveLabelMapd("pred", tmp_path, table, "prostate")(case)
    assert scan.read_bytes() == before


@pytest.mark.parametrize("kind", ["symbolic", "hard"])
def test_a_result_never_overwrites_its_scan_through_a_link(table, prostate, write_scan, tmp_path, kind):
    scan = write_scan("scan.nii.gz", prostate.image[0], prostate.affine)
    before = scan.read_bytes()
    case = there_and_back(table, "prostate", scan, write_scan("l.nii.gz", prostate.label, prostate.affine))
    (tmp_path / "out").mkdir()
    link = tmp_path / "out" / "case.nii.gz"
    link.symlink_to(scan) if kind == "symbolic" else link.hardlink_to(scan)
    with pytest.raises(ValueError, match="would overwrite its own image"):
        SaveLabelMapd("pred", tmp_path / "out", table, "prostate")(case)
    assert scan.read_bytes() == before


def test_what_a_header_says_of_the_patient_stays_in_the_scan(table, prostate, write_scan, tmp_path):
    image = nib.Nifti1Image(prostate.image[0], prostate.affine)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"Test^Patient"))
    for field in ("descrip", "db_name", "aux_file", "intent_name"):
        image.header[field] = b"Test^Patient"
    nib.save(image, tmp_path / "a.nii.gz")
    label = write_scan("l.nii.gz", prostate.label, prostate.affine)
    SaveLabelMapd("pred", tmp_path / "out", table, "prostate")(
        there_and_back(table, "prostate", tmp_path / "a.nii.gz", label)
    )
    content = gzip.decompress((tmp_path / "out" / "case.nii.gz").read_bytes())
    assert b"Patient" not in content and len(nib.load(tmp_path / "out" / "case.nii.gz").header.extensions) == 0


def test_a_result_of_which_a_file_is_gone_is_not_finished(table, prostate, write_scan, tmp_path):
    scan = write_scan("a.nii.gz", prostate.image[0], prostate.affine)
    saver = SaveLabelMapd("pred", tmp_path / "out", table, "prostate")
    saver(there_and_back(table, "prostate", scan, write_scan("l.nii.gz", prostate.label, prostate.affine)))
    cases = [{"name": "case", "image": [str(scan)]}]
    assert saver.unfinished(cases) == []
    content = (tmp_path / "out" / "case.nii.gz").read_bytes()
    (tmp_path / "out" / "case.nii.gz").unlink()
    assert saver.unfinished(cases) == cases
    (tmp_path / "out" / "case.nii.gz").write_bytes(content)
    (tmp_path / "out" / "case.json").unlink()
    with pytest.raises(ValueError, match="which has no record of this package"):
        saver.unfinished(cases)


def test_only_results_of_the_same_run_count_as_finished(table, prostate, write_scan, tmp_path):
    scan = write_scan("a.nii.gz", prostate.image[0], prostate.affine)
    case = there_and_back(table, "prostate", scan, write_scan("l.nii.gz", prostate.label, prostate.affine))
    cases = [{"name": "case", "image": [str(scan)]}, {"name": "other", "image": [str(scan)]}]

    def left(task="prostate", **more):
        return [c["name"] for c in SaveLabelMapd("pred", tmp_path / "out", table, task, **more).unfinished(cases)]

    assert left() == ["case", "other"]
    SaveLabelMapd("pred", tmp_path / "out", table, "prostate")(case)
    assert left() == ["other"]
    with pytest.raises(ValueError, match="result for task prostate, not spleen"):
        left(task="spleen")
    assert left(metadata={"mirror": True}) == ["case", "other"]
    later = (tmp_path / "out" / "case.json").stat().st_mtime + 10
    os.utime(scan, (later, later))
    assert left() == ["case", "other"]


def test_label_names_refuses_values_that_a_merged_map_has_not(table):
    with pytest.raises(ValueError, match="use values='global'"):
        table.label_names("all_ct", "task")
    with pytest.raises(ValueError, match="expected 'global' or 'task'"):
        table.label_names("liver", "own")
