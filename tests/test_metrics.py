import numpy as np
import pytest

from uniseg_nets.reports import Report
from uniseg_nets.reports.metrics import case_rows, summarise

CLASSES = {1: "organ", 2: "tumour"}


def cube(start, size=6, value=1, shape=(20, 20, 20)):
    volume = np.zeros(shape, dtype=np.uint8)
    volume[tuple(slice(s, s + size) for s in start)] = value
    return volume


def rows(found, reference, spacing=(1, 1, 1), **more):
    return {row["class"]: row for row in case_rows(found, reference, spacing, CLASSES, **more)}


def test_equal_maps_are_perfect():
    row = rows(cube((5, 5, 5)), cube((5, 5, 5)))["organ"]
    assert row["status"] == "present" and not row["truncated"]
    assert row["dice"] == 1 and row["nsd"] == pytest.approx(1) and row["hd95_mm"] == 0


def test_a_shift_of_two_voxels_is_measured_in_millimetres():
    row = rows(cube((7, 5, 5)), cube((5, 5, 5)), spacing=(1.5, 1, 1))["organ"]
    assert row["dice"] == pytest.approx(2 / 3)
    assert row["hd95_mm"] == pytest.approx(3)
    assert row["volume_ml"] == pytest.approx(216 * 1.5 / 1000)


def test_one_voxel_far_away_is_no_part_of_the_95th_percentile():
    found = cube((5, 5, 5))
    found[19, 19, 19] = 1
    assert rows(found, cube((5, 5, 5)))["organ"]["hd95_mm"] == 0


def test_nsd_forgives_what_lies_within_the_tolerance():
    near = [rows(cube((6, 5, 5)), cube((5, 5, 5)), tolerance_mm=mm)["organ"]["nsd"] for mm in (0.5, 1.5)]
    assert near[0] < 0.9 and near[1] == pytest.approx(1)


@pytest.mark.parametrize(
    ("found", "reference", "status", "dice"),
    [
        (np.zeros((20, 20, 20)), cube((5, 5, 5)), "false_negative", 0),
        (cube((5, 5, 5)), np.zeros((20, 20, 20)), "false_positive", 0),
        (np.zeros((20, 20, 20)), np.zeros((20, 20, 20)), "absent", np.nan),
    ],
)
def test_what_is_missing_is_told_apart(found, reference, status, dice):
    row = rows(found, reference)["organ"]
    assert row["status"] == status and row["dice"] == pytest.approx(dice, nan_ok=True) and np.isnan(row["hd95_mm"])


def test_an_organ_at_the_border_is_marked():
    assert rows(cube((0, 5, 5)), cube((0, 5, 5)))["organ"]["truncated"]


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize(("first", "cut"), [(0, True), (1, False), (13, False), (14, True)])
def test_each_border_of_the_scan_cuts(axis, first, cut):
    organ = cube([first if other == axis else 5 for other in range(3)])
    assert rows(organ, organ)["organ"]["truncated"] is cut


def test_wrong_maps_are_refused():
    with pytest.raises(ValueError, match="its reference"):
        rows(cube((5, 5, 5)), np.zeros((20, 20, 19)))
    with pytest.raises(ValueError, match=r"holds values \[7\]"):
        rows(cube((5, 5, 5)), cube((5, 5, 5), value=7))
    with pytest.raises(ValueError, match=r"label map holds values \[7\], the task's classes are"):
        rows(cube((5, 5, 5), value=7), cube((5, 5, 5)))


def test_the_summary_means_only_over_cases_that_have_the_class():
    cases = [cube((5, 5, 5)), np.zeros((20, 20, 20)), cube((7, 5, 5))]
    found = [
        {"task": "t", **row}
        for case in cases
        for row in case_rows(case, cases[0] * (case.max() > 0), (1, 1, 1), CLASSES)
    ]
    (organ, tumour) = summarise(found)
    assert organ["dice"] == pytest.approx((1 + 2 / 3) / 2)
    assert (
        (organ["present"], organ["false_negative"], organ["absent"]) == (2, 0, 1)
        and tumour["absent"] == 3
        and np.isnan(tumour["dice"])
    )


def test_the_number_of_missed_cases_stands_beside_the_mean_of_hd95(write_scan, tmp_path, table, caplog):
    caplog.set_level("INFO")
    reference = write_scan("reference.nii.gz", cube((5, 5, 5)))
    for name, found in (("good", cube((5, 5, 5))), ("missed", cube((5, 5, 5), value=0))):
        write_scan(f"maps/spleen/{name}.nii.gz", found)
    cases = [
        {"name": name, "task": "spleen", "image": str(reference), "label": str(reference)}
        for name in ("good", "missed")
    ]
    (row,) = Report(cases, tmp_path / "maps", tmp_path / "out", table, worst=0).write()
    assert (row["hd95_mm"], row["false_negative"], row["dice"]) == (0, 1, 0.5)
    assert "2 cases: Dice 0.500, NSD 0.500, HD95 0.0 mm over 1 cases, 1 false negative, 0 false positive" in caplog.text
