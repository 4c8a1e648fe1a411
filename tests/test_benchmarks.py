"""The divisions that the benchmarks' figures rest on, and how they are shown."""

import csv
import json
from collections import Counter

import nibabel as nib
import numpy as np
import pytest

from benchmarks import bench_case
from benchmarks.esp_medsam import run as distillation
from benchmarks.gpu.records import Records, append_row
from benchmarks.nnunet import peer
from benchmarks.pictures import draw_sections
from benchmarks.products import product
from benchmarks.prompt_tuning import run
from benchmarks.prompt_tuning.table import dice_of
from benchmarks.results import shown


@pytest.mark.parametrize(("centre", "patients"), [(run.OLD, 30), (run.NEW, 27)])
def test_no_patient_of_a_centre_is_trained_on_and_tested(test_data, centre, patients):
    trained, tested = run.split_cases(test_data / "data" / centre, run.PATIENT[centre], run.HELD[centre])
    people = [{case["name"].split("_frame")[0] for case in side} for side in (trained, tested)]
    assert len(tested) == run.HELD[centre] and not people[0] & people[1] and sum(map(len, people)) == patients


def test_a_student_and_a_network_from_scratch_share_eight_masks_per_modality_and_the_held_images(tmp_path):
    for folder in distillation.SETS.values():
        (tmp_path / folder / "images").mkdir(parents=True)
        for index in range(40):
            (tmp_path / folder / "images" / f"{folder}_{index}.jpg").touch()
    sections = draw_sections(tmp_path, distillation.SETS, held=0.25, seed=0)
    first, again, other = (distillation.few_masks(sections, seed) for seed in (0, 0, 1))
    assert first == again and first["training"] != other["training"]
    assert first["validation"] == sections["validation"] and len(first["validation"]) == 40
    assert Counter(case["modality"] for case in first["training"]) == dict.fromkeys(distillation.SETS, 8)
    assert all(case in sections["training"] for case in first["training"])


def test_a_set_without_images_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no JPEG image in .*lungs_xray"):
        draw_sections(tmp_path, {"xray": "lungs_xray"}, held=0.25, seed=0)


def test_the_dice_of_a_case_is_the_mean_over_its_classes_and_seeds():
    key = {"variant": "head", "size": "all", "centre": run.NEW, "patient": "p", "case": "c", "status": "present"}
    dice = [("0", 0.4), ("0", 0.6), ("1", 0.8), ("1", 1.0)]
    rows = [key | {"seed": seed, "dice": str(value)} for seed, value in dice]
    rows += [key | {"status": "absent", "dice": ""}, key | {"size": "3", "dice": "0"}, key | {"variant": "decoder"}]
    assert dice_of(rows, "head", "all", run.NEW) == {("p", "c"): pytest.approx(0.7)}


@pytest.mark.parametrize("pipeline", ["ours", "stock"])
def test_the_timed_pipelines_write_a_label_map_of_the_scan(small_weights, tmp_path, pipeline):
    scan = str(tmp_path / "scan.nii.gz")
    voxels = np.random.default_rng(0).integers(-200, 200, (60, 50, 20), dtype=np.int16)
    nib.save(nib.Nifti1Image(voxels, np.diag([3.0, 3, 3, 1])), scan)
    settings = () if pipeline == "stock" else ({"runtime": "torch", "precision": "fp32"},)
    seconds = getattr(bench_case, pipeline)(scan, str(small_weights), str(tmp_path / "out"), "spleen", None, *settings)
    (written,) = (tmp_path / "out").rglob("*.nii.gz")
    assert len(seconds) == 3 and min(seconds) > 0 and nib.load(written).shape == (60, 50, 20)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_the_product_of_a_floor_is_computed(precision):
    result = product(precision, side=64)()
    assert result.shape == (64, 64) and result.float().std() > 1


def test_of_several_seeds_each_value_is_shown_beside_the_mean():
    assert shown([0.5]) == "0.500" and shown([]) == ""
    assert shown([0.6, 0.4]) == "0.500 (0.400, 0.600)"


def test_nnunet_gets_the_training_cases_alone_and_its_predictions_are_scored_on_the_held_ones(tmp_path):
    label = np.zeros((12, 12, 6), np.uint8)
    label[3:9, 3:9, 1:5] = 1
    content = {}
    for section, names in {"training": ["a", "b"], "validation": ["c"]}.items():
        content[section] = [
            {"name": name, "image": f"{name}.nii.gz", "label": f"{name}_label.nii.gz", "task": "left_atrium"}
            for name in names
        ]
        for name in names:
            nib.save(nib.Nifti1Image(100 * label.astype(np.float32), np.eye(4)), tmp_path / f"{name}.nii.gz")
            nib.save(nib.Nifti1Image(label, np.eye(4)), tmp_path / f"{name}_label.nii.gz")
    datalist = tmp_path / "datalist.json"
    datalist.write_text(json.dumps(content))
    peer.write_dataset(datalist, "left_atrium", tmp_path / "raw")
    files = {path.name for path in (tmp_path / "raw").rglob("*.nii.gz")}
    assert files == {"a_0000.nii.gz", "b_0000.nii.gz", "a.nii.gz", "b.nii.gz", "c_0000.nii.gz"}
    assert (tmp_path / "raw" / "imagesTs" / "c_0000.nii.gz").is_file()
    written = json.loads((tmp_path / "raw" / "dataset.json").read_text())
    assert written["labels"] == {"background": 0, "left_atrium": 1}

    label[8] = 0  # a sixth of the atrium is missed
    (tmp_path / "predicted").mkdir()
    nib.save(nib.Nifti1Image(label, np.eye(4)), tmp_path / "predicted" / "c.nii.gz")
    (tmp_path / "predicted" / "plans.json").write_text("{}")
    peer.score(datalist, "left_atrium", tmp_path / "predicted", tmp_path / "eval")
    (row,) = csv.DictReader((tmp_path / "eval" / "cases.csv").open())
    assert row["case"] == "c"
    assert float(row["dice"]) == pytest.approx(10 / 11, abs=1e-4)


def test_the_gpu_kit_goes_on_with_the_parts_that_have_not_ended(tmp_path):
    append_row(tmp_path / "rows.jsonl", "window", "torch fp32", seconds=0.5, gib=1.25)
    records = Records(tmp_path, "a machine")
    records.add("window", "stopped", note="after 10 minutes")
    assert not records.has_ended("window")
    append_row(records.rows_file, "window", "torch fp32", seconds=0.25)
    records.end("window")
    assert Records(tmp_path, "a machine").has_ended("window") and not records.has_ended("case")
    records.write_table()
    table = (tmp_path / "table.md").read_text()
    assert table.startswith("a machine\n") and table.count("torch fp32") == 1
    assert "| window | torch fp32 | 0.25 |  |  |" in table and "ended" not in table
