"""Verdicts in runs: records, reports, strict and forced runs, the Python interface."""

import csv
import gzip
import json

import nibabel as nib
import numpy as np
import pytest

from uniseg_nets import Segmenter
from uniseg_nets.bundle.run import run_bundle
from uniseg_nets.io.errors import CasesFailedError
from uniseg_nets.phantom import write_phantoms
from uniseg_nets.reports.merge import merge_runs
from uniseg_nets.reports.page import by_verdict
from uniseg_nets.transforms.result import OF_THE_VERDICT


@pytest.fixture
def scans(tmp_path, table):
    """A folder of prostates, one of them with Hounsfield units, one with voxels of a hundredth of a millimetre."""
    good, ct, tiny = write_phantoms(tmp_path / "scans", table.one("prostate"), 3, seed=7)
    folder = tmp_path / "scans" / "imagesTr"
    image = nib.load(folder / f"{ct}_0000.nii.gz")
    values = image.get_fdata() * 3 - 1000
    nib.save(nib.Nifti1Image(values.astype(np.float32), image.affine), folder / f"{ct}_0000.nii.gz")
    image = nib.load(folder / f"{tiny}_0000.nii.gz")
    affine = image.affine @ np.diag([0.01, 0.01, 0.01, 1])
    nib.save(nib.Nifti1Image(image.get_fdata().astype(np.float32), affine), folder / f"{tiny}_0000.nii.gz")
    return tmp_path / "scans", (good, ct, tiny)


def run(folder, output, **options):
    options = {"task": "prostate", "overlap": 0.25, "output_dir": str(output), **options}
    run_bundle("uniseg_upstream", ["inference.json", "demo.json"], dataset_dir=str(folder), **options)


def record(output, name):
    return json.loads((output / f"{name}.json").read_text())


def test_a_folder_run_says_of_every_case_whether_it_needs_eyes(scans, tmp_path):
    folder, (good, ct, tiny) = scans
    output = tmp_path / "out"
    with pytest.raises(CasesFailedError, match=r"1 of 3 cases failed.*\n.*refused: .*no scanner makes"):
        run(folder, output, report=True)
    assert [record(output, name)["verdict"] for name in (good, ct, tiny)] == ["ok", "check", "refused"]
    assert "as a CT does" in record(output, ct)["reasons"][0]
    assert not (output / f"{tiny}.nii.gz").exists() and "label_map" not in record(output, tiny)
    told = json.loads((output / "run.json").read_text())["verdicts"]
    assert told[ct]["verdict"] == "check" and told[good] == {
        "verdict": "ok",
        "reasons": [],
        "compared_with_training": False,
    }
    assert told[tiny]["verdict"] == "refused" and "no scanner makes" in told[tiny]["reasons"][0]
    rows = list(csv.DictReader((output / "statistics.csv").open()))
    assert [(row["case"], row["verdict"]) for row in rows] == [(tiny, "refused"), (ct, "check"), (good, "ok")]
    page = (output / "report.html").read_text()
    assert "3 cases: 1 refused, 1 check, 1 ok." in page and "as a CT does" in page
    assert "The weights have no fingerprint for 2 of them: ok means little there." in page
    worklist = page[page.index('id="worklist"') :]
    assert worklist.index(tiny) < worklist.index(ct) < worklist.index(good)


def test_a_scan_that_cannot_be_read_stands_first_in_the_report(scans, tmp_path):
    folder, (good, ct, tiny) = scans
    file = folder / "imagesTr" / f"{ct}_0000.nii.gz"
    content = bytearray(gzip.decompress(file.read_bytes()))
    content[252:256] = bytes(4)  # qform_code and sform_code
    content[80:84] = bytes(4)  # pixdim[1]
    file.write_bytes(gzip.compress(bytes(content)))
    with pytest.raises(CasesFailedError, match="2 of 3 cases failed"):
        run(folder, tmp_path / "out", report=True)
    rows = list(csv.DictReader((tmp_path / "out" / "statistics.csv").open()))
    assert [(row["case"], row["verdict"]) for row in rows] == [(ct, "failed"), (tiny, "refused"), (good, "ok")]
    assert "an edge of 0 mm along axis x" in rows[0]["reasons"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "3 cases: 1 failed, 1 refused, 1 ok." in page and "an edge of 0 mm along axis x" in page


def test_a_scan_whose_header_does_not_say_how_the_patient_lies_is_to_check(scans, tmp_path):
    folder, (good, _, _) = scans
    file = folder / "imagesTr" / f"{good}_0000.nii.gz"
    content = bytearray(gzip.decompress(file.read_bytes()))
    content[252:256] = bytes(4)  # qform_code and sform_code
    file.write_bytes(gzip.compress(bytes(content)))
    run(file, tmp_path / "out")
    found = record(tmp_path / "out", good)
    assert found["verdict"] == "check" and "does not say how the patient lies" in found["reasons"][0]
    assert found["compared_with_training"] is False


def test_a_strict_run_does_not_take_a_finished_case_without_a_verdict_for_ok(scans, tmp_path):
    folder, (good, _, _) = scans
    only = folder / "imagesTr" / f"{good}_0000.nii.gz"
    run(only, tmp_path / "out", strict=True)
    path = tmp_path / "out" / f"{good}.json"
    without = {key: value for key, value in record(tmp_path / "out", good).items() if key not in OF_THE_VERDICT}
    path.write_text(json.dumps(without))
    with pytest.raises(CasesFailedError, match=rf"no verdict: .*delete {good}.json"):
        run(only, tmp_path / "out", strict=True)


def test_a_refused_case_is_computed_by_force_and_keeps_its_verdict(scans, tmp_path):
    folder, (_, _, tiny) = scans
    only = folder / "imagesTr" / f"{tiny}_0000.nii.gz"
    with pytest.raises(CasesFailedError, match="refused"):
        run(only, tmp_path / "out")
    run(only, tmp_path / "out", force=True)
    assert (tmp_path / "out" / f"{tiny}.nii.gz").is_file()
    assert record(tmp_path / "out", tiny)["verdict"] == "refused"


def test_a_strict_run_fails_for_a_case_to_check_and_so_does_the_next_one_that_finds_it_finished(scans, tmp_path):
    folder, (_, ct, _) = scans
    only = folder / "imagesTr" / f"{ct}_0000.nii.gz"
    for _ in range(2):
        with pytest.raises(CasesFailedError, match=r"check: .*as a CT does"):
            run(only, tmp_path / "out", strict=True, report=True)
        assert (tmp_path / "out" / f"{ct}.nii.gz").is_file()
        (row,) = csv.DictReader((tmp_path / "out" / "statistics.csv").open())
        assert (row["verdict"], row["class"]) == ("check", "prostate")
        failures = json.loads((tmp_path / "out" / "failures.json").read_text())
        assert "as a CT does" in failures[ct]
        merged = merge_runs(tmp_path / "out")
        assert merged["failed"] == failures and ct in merged["seconds_per_case"] and ct in merged["verdicts"]
    run(only, tmp_path / "out")  # finished, and not strict
    assert not (tmp_path / "out" / "failures.json").exists()


def test_from_python_a_label_map_has_its_verdict(demo_weights, scans):
    folder, (good, ct, tiny) = scans
    segmenter = Segmenter("uniseg_upstream", task="prostate", weights=str(demo_weights), overlap=0.25)
    found = segmenter(folder / "imagesTr" / f"{good}_0000.nii.gz")
    assert found.verdict.word == "ok" and found[:3].verdict is None
    assert segmenter(folder / "imagesTr" / f"{ct}_0000.nii.gz").verdict.word == "check"
    with pytest.raises(ValueError, match=r"refused: .*no scanner makes"):
        segmenter(folder / "imagesTr" / f"{tiny}_0000.nii.gz")


def test_cases_that_need_eyes_come_first_the_worst_estimate_before_others():
    verdicts = {
        "a": ("ok", 0.9),
        "b": ("check", 0.8),
        "c": ("refused", None),
        "d": ("check", 0.3),
        "e": ("check", None),
    }
    cases = [{"name": name, "verdict": word, "estimated_dice": dice} for name, (word, dice) in verdicts.items()]
    assert [case["name"] for case in by_verdict(cases)] == ["c", "d", "b", "e", "a"]
