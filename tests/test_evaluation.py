import json
import re

import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

from uniseg_nets.io.errors import CasesFailedError
from uniseg_nets.io.files import write_csv, write_json
from uniseg_nets.reports import Report
from uniseg_nets.reports.run import report_case

AFFINE = np.diag([1.5, 1.0, 2.0, 1.0])
AFFINE[:3, 3] = (-10, 5, 30)


def spleen():
    volume = np.zeros((12, 14, 9), dtype=np.uint8)
    volume[2:7, 3:9, 1:5] = 11
    return volume


def turned(array, codes):
    """The same voxels stored in another orientation, and their affine."""
    image = nib.Nifti1Image(array, AFFINE)
    image = image.as_reoriented(ornt_transform(io_orientation(AFFINE), axcodes2ornt(codes)))
    return np.asarray(image.dataobj), image.affine


@pytest.fixture
def report(write_scan, tmp_path, table):
    """A report on maps found on one case each, given as pairs of arrays with affines: found, reference."""

    def make(**pairs):
        cases = []
        for name, (found, reference) in pairs.items():
            write_scan(f"maps/spleen/{name}.nii.gz", *found)
            label = str(write_scan(f"{name}.nii.gz", *reference))
            cases.append({"name": name, "task": "spleen", "image": label, "label": label})
        return Report(cases, tmp_path / "maps", tmp_path / "out", table, values="global", worst=0)

    return make


GOOD = (spleen(), AFFINE)


@pytest.mark.parametrize("codes", ["LPS", "SAR", "PIR", "ILA"])
def test_a_reference_that_is_stored_in_another_orientation_is_the_same_reference(report, codes):
    (row,) = report(a=(GOOD, turned(spleen(), codes))).write()
    assert (row["dice"], row["hd95_mm"]) == (1, 0)
    moved = np.roll(spleen(), 2, axis=0)
    (row,) = report(a=((moved, AFFINE), turned(spleen(), codes))).write()
    assert row["dice"] == pytest.approx(2 * 3 / 10) and row["hd95_mm"] == pytest.approx(3)


def shifted(mm):
    affine = AFFINE.copy()
    affine[0, 3] += mm
    return affine


@pytest.mark.parametrize(
    "reference",
    [
        (spleen(), shifted(1.5)),
        (spleen(), AFFINE * [1.02, 1, 1, 1]),
        (np.pad(spleen(), [(0, 1), (0, 0), (0, 0)]), AFFINE),
        (spleen(), np.diag([1.5, -1.0, 2.0, 1.0])),
    ],
    ids=["moved", "stretched", "larger", "mirrored about another place"],
)
def test_a_reference_on_another_grid_is_left_out_by_name_and_the_others_are_compared(report, reference, caplog):
    made = report(bad=(GOOD, reference), good=(GOOD, GOOD))
    (row,) = made.write()
    assert (row["cases"], row["dice"]) == (1, 1)
    assert list(made.faults) == ["bad"] and "bad.nii.gz" in made.faults["bad"] and "another grid" in made.faults["bad"]
    assert "case bad left out of the report" in caplog.text


def with_value(value, dtype):
    volume = spleen().astype(dtype)
    volume[0, 0, 0] = value
    return volume, AFFINE


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (with_value(256, np.int16), r"holds \[256.0\]: labels are whole numbers from 0 to 255"),
        (with_value(267, np.int16), r"holds \[267.0\]"),
        (with_value(-1, np.int16), r"holds \[-1.0\]"),
        (with_value(11.5, np.float32), r"holds \[11.5\]"),
        (with_value(np.nan, np.float32), r"holds \[nan\]"),
        (with_value(12, np.uint8), r"holds values \[12\]"),
        ((np.stack([spleen()] * 2, axis=-1), AFFINE), "has 2 channels, expected one"),
    ],
)
def test_a_reference_whose_values_would_be_changed_is_left_out_by_name(report, reference, message):
    made = report(bad=(GOOD, reference))
    assert made.write() == [] and list(made.faults) == ["bad"]
    assert re.search(message, made.faults["bad"]) and "bad.nii.gz" in made.faults["bad"]


def test_volumes_of_a_sheared_scan_are_those_of_its_voxels(report, write_scan, tmp_path):
    sheared = AFFINE.copy()
    sheared[1, 2] = 1.2  # slices shifted along y, as with a tilted gantry
    made = report(a=((spleen(), sheared), (spleen(), sheared)))
    made.write()
    (row,) = json.loads((tmp_path / "out" / "cases.json").read_text())
    assert row["volume_ml"] == row["reference_ml"] == pytest.approx(5 * 6 * 4 * 1.5 * 1.0 * 2.0 / 1000)
    write_scan("run/a.nii.gz", spleen(), sheared)
    write_json(tmp_path / "run" / "a.json", {"task": "spleen", "labels": {"0": "background", "11": "spleen"}})
    (row,) = report_case("a", str(write_scan("scan.nii.gz", spleen(), sheared)), tmp_path / "run")
    assert row["volume_ml"] == pytest.approx(0.36)


def test_an_evaluation_with_a_bad_reference_says_so_after_the_report_is_written(report, tmp_path):
    class Evaluator:
        def run(self):
            raise CasesFailedError({"unread": "no file"}, 3)

    made = report(bad=(GOOD, (spleen(), shifted(9))), good=(GOOD, GOOD))
    with pytest.raises(CasesFailedError, match=r"(?s)unread: no file.*bad: .*another grid"):
        made.after(Evaluator())
    assert (tmp_path / "out" / "summary.csv").is_file()


def test_voxels_that_hold_no_number_put_none_into_the_statistics(write_scan, tmp_path):
    image = np.full(spleen().shape, 50, dtype=np.float32)
    image[2, 3, 1] = np.nan
    write_scan("run/a.nii.gz", spleen(), AFFINE)
    write_json(tmp_path / "run" / "a.json", {"task": "spleen", "labels": {"0": "background", "11": "spleen"}})
    (row,) = report_case("a", str(write_scan("scan.nii.gz", image, AFFINE)), tmp_path / "run")
    assert (row["mean"], row["std"], row["voxels"]) == (50, 0, 120)


def test_json_has_no_nan(tmp_path):
    write_json(tmp_path / "a.json", {"a": [float("nan"), 1.5], "b": {"c": float("inf")}})
    assert json.loads((tmp_path / "a.json").read_text(), parse_constant=pytest.fail) == {
        "a": [None, 1.5],
        "b": {"c": None},
    }


@pytest.mark.parametrize("name", ["=cmd()", "+1", "-2", "@sum(a1)"])
def test_a_case_s_name_is_no_formula_in_a_table(tmp_path, name):
    write_csv(tmp_path / "a.csv", [{"case": name, "change": -1.5}])
    assert (tmp_path / "a.csv").read_text().splitlines()[1] == f"'{name},-1.5"
