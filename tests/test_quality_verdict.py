"""Verdicts, and what they are learnt from: ranges, histograms, estimates."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from uniseg_nets.quality import words
from uniseg_nets.quality.estimate import SIGNS, DiceEstimate, KnownDice
from uniseg_nets.quality.histogram import ChannelHistogram
from uniseg_nets.quality.ranges import Range
from uniseg_nets.quality.review import StrictReview
from uniseg_nets.quality.verdict import Reason, Verdict

RNG = np.random.default_rng(0)


def test_a_case_without_a_reason_is_ok_and_the_worst_reason_decides():
    check, refused = Reason("after", "Too small."), Reason("before", "No size.", refused=True)
    assert Verdict().word == "ok" and Verdict().as_record() == {"verdict": "ok", "reasons": []}
    assert Verdict((check,)).word == "check"
    both = Verdict((check, refused, check))
    assert both.word == "refused" and both.sentences == ["No size.", "Too small."]
    assert str(both) == "refused: No size. Too small."


def test_a_verdict_comes_back_from_its_text():
    verdict = Verdict((Reason("network", "Unsure."),), 0.8123, 0.1, compared_with_training=True)
    assert Verdict.loads(verdict.dumps()) == verdict
    assert verdict.as_record()["estimated_dice"] == 0.812


def test_a_strict_run_counts_no_record_of_a_case_that_is_not_finished(tmp_path):
    for name, word in (("ok", "ok"), ("to check", "check"), ("refused", "refused")):
        record = {"verdict": word, "reasons": ["Look."], "versions": {"uniseg_nets": "0.9"}}
        (tmp_path / f"{name}.json").write_text(json.dumps(record))
    saver = SimpleNamespace(
        targets=lambda case: (None, tmp_path / f"{case['name']}.json"),
        is_finished=lambda case: case["name"] != "refused",
    )
    cases = [{"name": name} for name in ("ok", "to check", "refused", "never read")]
    assert StrictReview(saver, cases, strict=True)() == {"to check": "check: Look."}


def test_a_range_holds_nearly_all_new_cases_and_is_wider_where_few_were_seen():
    volumes = np.exp(RNG.normal(4, 0.3, 200))
    few, many = (Range.fitted(volumes[:count], "ratio") for count in (8, 200))
    assert few.high / few.low > 3 and many.high > 100 > 30 > many.low
    assert few._reach > many._reach
    fresh = np.exp(RNG.normal(4, 0.3, 2000))
    assert np.mean([many.holds(volume) for volume in fresh]) > 0.995
    assert not many.holds(500) and not many.holds(5)


def test_equal_cases_still_leave_room_and_only_the_side_that_matters_counts():
    same = Range.fitted([100.0] * 10, "ratio")
    assert same.holds(110) and not same.holds(200)
    low = Range.fitted([0.9, 0.92, 0.91, 0.9, 0.93, 0.9, 0.91, 0.9], "share", "low")
    assert low.holds(1.0) and not low.holds(0.4) and low.holds(float("nan"))
    with pytest.raises(ValueError, match="at least two cases, got 1"):
        Range.fitted([1.0, float("nan")], "ratio")


def test_numbers_have_no_exponent_and_places_lie_within_the_scan():
    texts = [words.number(value) for value in (1567.2, 12_345_678.0, -4321.0, 99.96, 109.0, 12.34, 0.0012, 0.0)]
    assert texts == ["1570", "12300000", "-4320", "100", "109", "12.3", "0.0012", "0"]
    extent = [Range.fitted(np.array([400, 410, 420, 1100]) * size, "ratio") for size in (1.0, 1.0, 10.0)]
    for text in (
        words.lengths("extent", (20.0, 2000.0, 20000.0), extent),
        words.label("liver", "volume_ml", 1e4, 1, 2e4, "anatomical"),
    ):
        assert "e+" not in text
    text = words.label("liver", "at_x", 0.2, 0.45, 1.08, "anatomical")
    assert text == "liver lies at 20% of the scan from left to right, usually at 45% to 100%."
    assert "usually at 0% to 40%" in words.label("liver", "at_z", 0.9, -0.1, 0.4, "anatomical")


def test_a_range_comes_back_from_json():
    made = Range.fitted([1.0, 2.0, 3.0], "place", "high")
    read = Range(**json.loads(json.dumps(made.as_json())))
    assert read.high == pytest.approx(made.high, rel=1e-3) and read.side == "high"


LEVELS = np.linspace(0.01, 0.99, 25)


def quantiles(draw, count):
    return [np.quantile(draw(5000), LEVELS) for _ in range(count)]


def test_a_ct_is_compared_in_hounsfield_units_and_an_mr_whatever_its_scale():
    def tissue(count):
        return RNG.gamma(2, 50, count) - 100

    ct = ChannelHistogram.fitted("CT", quantiles(tissue, 10))
    mr = ChannelHistogram.fitted("T1", quantiles(tissue, 10))
    (new,) = quantiles(tissue, 1)
    for histogram, moved in ((ct, False), (mr, True)):
        assert histogram.distances.holds(histogram.distance(new))
        assert histogram.distances.holds(histogram.distance(new * 3 + 700)) == moved
        assert not histogram.distances.holds(histogram.distance(-new[::-1]))


def test_an_estimate_follows_the_signs_of_trouble_and_knows_its_error():
    signs = [dict(zip(SIGNS, RNG.uniform(-1, 6, len(SIGNS)))) for _ in range(200)]
    dice = [float(1 / (1 + np.exp(-(2 - 0.5 * one["agreement"] + RNG.normal(0, 0.2))))) for one in signs]
    cases = [KnownDice("liver", str(i), *one) for i, one in enumerate(zip(signs, dice))]
    estimate = DiceEstimate.fitted(cases, held=True)
    assert estimate.weights["agreement"] < -0.4 and abs(estimate.weights["label"]) < 0.05
    assert estimate.error < 0.1 and estimate.held and estimate.cases == 200
    calm, trouble = (dict.fromkeys(SIGNS, 0.0) | {"agreement": value} for value in (0.0, 6.0))
    assert estimate.of("liver", calm) > 0.8 > 0.4 > estimate.of("liver", trouble)
    assert estimate.of("spleen", calm) is None
    with pytest.raises(ValueError, match="at least 20 cases"):
        DiceEstimate.fitted(cases[:5], held=True)


def test_the_error_of_an_estimate_is_that_on_patients_left_out():
    """Each patient has a Dice of its own that no sign tells: only copies of the same scan would give it away."""
    calm = dict.fromkeys(SIGNS, 0.0)
    levels = np.repeat([0.3, 0.9], 10)
    cases = [
        KnownDice("liver", str(patient), calm | {"label": float(patient)}, float(dice), worse)
        for patient, dice in enumerate(levels)
        for worse in (False, True, True)
    ]
    apart = DiceEstimate.fitted(cases, held=True)
    together = DiceEstimate.fitted([replace(case, patient=str(i)) for i, case in enumerate(cases)], held=True)
    assert apart.weights == together.weights
    assert apart.error > together.error


def test_a_task_whose_cases_were_all_degraded_has_no_estimate():
    calm = dict.fromkeys(SIGNS, 0.0)
    cases = [KnownDice("liver", str(i), calm, 0.9) for i in range(20)]
    estimate = DiceEstimate.fitted([*cases, KnownDice("spleen", "20", calm, 0.5, worse=True)], held=False)
    assert estimate.of("spleen", calm) is None and estimate.cases == 20


def test_copies_of_ten_patients_scans_are_no_twenty_cases():
    calm = dict.fromkeys(SIGNS, 0.0)
    cases = [KnownDice("liver", str(i), calm, 0.9, worse) for i in range(10) for worse in (False, True)]
    with pytest.raises(ValueError, match=r"at least 20 cases that were not degraded, .*, got 10"):
        DiceEstimate.fitted(cases, held=True)
    more = [KnownDice("liver", str(10 + i), calm, 0.9) for i in range(10)]
    assert DiceEstimate.fitted([*cases, *more], held=True).cases == 30


@pytest.mark.parametrize(("count", "known"), [(3, False), (4, True)])
def test_the_dice_of_a_few_cases_is_not_in_an_estimate(count, known):
    calm = dict.fromkeys(SIGNS, 0.0)
    few = [KnownDice("spleen", f"s{i}", calm, 0.5) for i in range(count)]
    estimate = DiceEstimate.fitted([*few, *(KnownDice("liver", str(i), calm, 0.9) for i in range(20))], held=True)
    assert ("spleen" in estimate.levels, estimate.cases) == (known, 24 if known else 20)
    assert (estimate.of("spleen", calm) is not None) == known
