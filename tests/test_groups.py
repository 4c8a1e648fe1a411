import numpy as np
import pytest

from uniseg_nets.data.groups import (
    draw_folds,
    group_of,
    guess_pattern,
    hold_out,
    patients_of,
    refuse_divided,
    shared_beginnings,
)

FRAMES = [f"patient{index:03d}_frame{frame}" for index in range(7) for frame in range(1 + index % 3)]


def test_the_first_group_of_the_expression_is_the_patient_or_else_the_match():
    assert patients_of(["ab_patient07_ED", "patient12_ES"], r"patient(\d+)") == ["07", "12"]
    assert patients_of(["ab_patient07_ED", "patient12_ES"], r"patient\d+") == ["patient07", "patient12"]


@pytest.mark.parametrize("pattern", [r"patient\d+", r"(patient\d+)?", r"(patient\d+)|scan"])
def test_names_in_which_no_patient_is_found_are_named(pattern):
    with pytest.raises(ValueError, match=r"finds no patient in 2 of 3 case names \(scan_a, scan_b\)"):
        patients_of(["patient1_a", "scan_a", "scan_b"], pattern)


def test_what_is_no_regular_expression_is_refused():
    with pytest.raises(ValueError, match=r"--group is 'a\(', expected a regular expression"):
        patients_of(["a"], "a(")


def test_a_case_without_a_group_is_a_group_by_itself():
    assert group_of({"name": "a", "group": 7}) == "7" and group_of({"name": "a"}) == "a"


def test_folds_never_part_a_patient_and_are_as_equal_as_can_be():
    groups = patients_of(FRAMES, r"patient\d+")
    folds = draw_folds(groups, 3, seed=4)
    assert len(set(zip(groups, folds))) == 7
    sizes = np.bincount(folds)
    assert sizes.sum() == len(FRAMES) and sizes.max() - sizes.min() <= 1
    assert draw_folds(groups, 3, seed=4) == folds != draw_folds(groups, 3, seed=5)


def test_folds_without_groups_are_dealt_in_the_order_drawn():
    drawn = np.random.default_rng(3).permutation(11)
    wanted = {int(index): order % 4 for order, index in enumerate(drawn)}
    assert draw_folds([f"case{index}" for index in range(11)], 4, seed=3) == [wanted[index] for index in range(11)]


def test_five_cases_make_folds_of_three_and_two_that_the_seed_draws():
    names = [f"case{index}" for index in range(5)]
    drawn = [draw_folds(names, 2, seed) for seed in range(20)]
    assert all(sorted(np.bincount(folds)) == [2, 3] for folds in drawn)
    assert len({tuple(folds) for folds in drawn}) > 5


@pytest.mark.parametrize("folds", [0, 1, 8])
def test_a_number_of_folds_that_cannot_be_is_refused(folds):
    with pytest.raises(ValueError, match=f"{folds} folds of 7 patients: expected at least 2"):
        draw_folds(patients_of(FRAMES, r"patient\d+"), folds, seed=0)


@pytest.mark.parametrize("count", [0, 1, 5, 9])
def test_held_cases_are_as_many_as_wanted_and_never_part_a_patient(count):
    groups = patients_of(FRAMES, r"patient\d+")
    kept, held = hold_out(groups, count, seed=2)
    assert len(held) == count and sorted(kept + held) == list(range(len(FRAMES)))
    assert not {groups[index] for index in kept} & {groups[index] for index in held}


def test_held_cases_without_groups_are_the_first_drawn():
    drawn = np.random.default_rng(9).permutation(8).tolist()
    assert hold_out([f"case{index}" for index in range(8)], 3, seed=9) == (drawn[3:], drawn[:3])


def test_where_every_patient_has_more_cases_than_wanted_the_smallest_is_held():
    assert hold_out(["a", "a", "a", "b", "b"], 1, seed=0) == ([0, 1, 2], [3, 4])
    assert hold_out(["a", "a"], 1, seed=0) == ([0, 1], [])


def test_a_patient_on_two_sides_is_named_with_its_cases():
    cases = [("p1_ED", "p1", "training"), ("p1_ES", "p1", "validation"), ("p2", "p2", "training")]
    with pytest.raises(ValueError, match=r"split.json puts 1 patient.*\n  p1: p1_ED in training, p1_ES in validation"):
        refuse_divided(cases, "split.json")
    refuse_divided([("p1_ED", "p1", "training"), ("p1_ES", "p1", "training")], "split.json")


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        (["patient001_frame01", "patient001_frame12", "patient002_frame01"], "patient"),
        (["sub-A1_ses-1", "sub-A1_ses-2", "sub-B2_ses-1"], "sub-"),
        (["patient001", "patient002"], None),  # one case each: nothing to put together
        (["patient001_a", "patient001_b", "case3"], None),  # not all follow it
    ],
)
def test_usual_names_of_patients_are_known(names, pattern):
    found = guess_pattern(names)
    assert (found is None) if pattern is None else (pattern in found and len(set(patients_of(names, found))) == 2)


def test_names_that_differ_in_their_last_part_alone_are_noticed():
    names = ["SC-1_ED", "SC-1_ES", "SC-2_ED", "SC-2_ES", "SC-3_ED", "SC-4_ES"]
    assert shared_beginnings(names) == {"SC-1": ["SC-1_ED", "SC-1_ES"], "SC-2": ["SC-2_ED", "SC-2_ES"]}
    assert shared_beginnings([f"liver_{index}" for index in range(9)]) == {}
