"""Standardised uptake values (SUV) of PET, from DICOM headers.

The formula is that of QIBA's profile "FDG-PET/CT as an Imaging Biomarker Measuring Response to Cancer Therapy",
appendix on the computation of SUV, for scanners of all vendors.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from uniseg_nets.io.series.frames import Frame
from uniseg_nets.io.series.stack import Stack

__all__ = ["suv_factor"]

_DAY = 24 * 3600.0
# Tracers with a longer half-life may be imaged days after the injection: the time of day alone is not enough.
_LONG_HALF_LIFE = _DAY / 2
# At most 1/256 of the activity is left after more. FDG is imaged after 55 to 75 minutes (QIBA), which is 0.7
# half-lives, and late images after 6 hours, 3.3; rubidium 82 after 8 minutes, 6.4.
_MOST_HALF_LIVES = 8
# Seconds from an injection before midnight to the scan after it. If only the times of day are known, a longer time is
# that of a scan which seems to begin before the injection: their clocks or entries differ.
_PAST_MIDNIGHT = 6 * 3600.0
# Bq, a dose. 1 MBq is below the smallest ones, those of zirconium 89 and iodine 124: smaller numbers are MBq, kBq, mCi.
# 10 GBq is above the largest ones, 2 GBq of rubidium 82 and several GBq of a therapy with yttrium 90.
_DOSE = (1e6, 1e10)
_WEIGHT = (1.0, 350.0)  # kg, up to what the tables of scanners carry
# Bq per kg. Adults get 3 to 7 MBq of FDG, newborns up to 10, and a light adult up to 55 of rubidium 82. More means a
# weight that was made up, or a dose in another unit.
_MOST_PER_KG = 1e8
# Of fluorine 18, the tracer of nearly all PET, adults get at most 740 MBq. This is below the usual dose times ten.
_FLUORINE_18 = (6500.0, 6700.0)  # s, its half-life as scanners write it
_MOST_FLUORINE_PER_KG = 3e7
_INSTEAD = ": export the series with its original headers, or give the PET as NIfTI in SUV"


def suv_factor(stack: Stack) -> float:
    """The factor from the rescaled values of a PET to SUV by body weight, in g/ml.

    It is the body weight divided by the dose that remains at the reference time of the decay correction.

    Raises:
        ValueError: if values are neither Bq/ml nor SUV by body weight, corrections were not made, or attributes for the
            factor are missing or implausible; the message names the attribute.
    """
    name = stack.frames[0].file.parent
    units, decay, kind = (stack.says(keyword) for keyword in ("Units", "DecayCorrection", "SUVType"))
    if units == "GML" and kind in ("", "BW"):
        return 1.0
    if units != "BQML" or decay not in ("START", "ADMIN"):
        raise ValueError(
            f"{name}: Units {units!r} and DecayCorrection {decay!r}, expected BQML and START or ADMIN, or GML by body "
            "weight: SUV cannot be computed"
        )
    corrections = stack.frames[0].get("CorrectedImage")
    if corrections is not None and not {"ATTN", "DECY"} <= set(corrections):
        raise ValueError(f"{name}: CorrectedImage is {list(corrections)}, expected ATTN and DECY among them")
    sequence = stack.frames[0].get("RadiopharmaceuticalInformationSequence")
    if not sequence:
        raise _lacking(name, "RadiopharmaceuticalInformationSequence")
    tracer = Frame(stack.frames[0].file, sequence[0])
    dose, half_life, weight = (
        _number(keeper, keyword, name)
        for keeper, keyword in (
            (tracer, "RadionuclideTotalDose"),
            (tracer, "RadionuclideHalfLife"),
            (stack.frames[0], "PatientWeight"),
        )
    )
    per_kg = _MOST_FLUORINE_PER_KG if _FLUORINE_18[0] < half_life < _FLUORINE_18[1] else _MOST_PER_KG
    plausible = _DOSE[0] <= dose <= _DOSE[1] and _WEIGHT[0] <= weight <= _WEIGHT[1] and dose <= per_kg * weight
    if not (plausible and half_life > 0):
        raise ValueError(
            f"{name}: dose {dose:g} Bq, half-life {half_life:g} s, weight {weight:g} kg: expected a dose of "
            f"{_DOSE[0]:g} to {_DOSE[1]:g} Bq and at most {per_kg:g} Bq per kg, a weight of {_WEIGHT[0]:g} to "
            f"{_WEIGHT[1]:g} kg, and a half-life above 0{_INSTEAD}"
        )
    elapsed = 0.0 if decay == "ADMIN" else _since_injection(stack, tracer, half_life, name)
    if elapsed > _MOST_HALF_LIVES * half_life:
        raise ValueError(
            f"{name}: {elapsed:g} s from injection to scan at a half-life of {half_life:g} s: wrong times, expected at "
            f"most {_MOST_HALF_LIVES} half-lives{_INSTEAD}"
        )
    return float(1000 * weight / (dose * 2 ** (-elapsed / half_life)))


def _lacking(name: Any, what: str) -> ValueError:
    return ValueError(f"{name} lacks what SUV is computed from: {what}{_INSTEAD}")


def _number(keeper: Frame, keyword: str, name: Any) -> float:
    value = keeper.get(keyword)
    if value is None:
        raise _lacking(name, keyword)
    return float(value)


def _since_injection(stack: Stack, tracer: Frame, half_life: float, name: Any) -> float:
    """Seconds from the injection to the start of the scan."""
    moment = tracer.get("RadiopharmaceuticalStartDateTime")
    if moment is not None and (start := _scan_start(stack)) is not None:
        injected = _seconds(str(moment)[:8], str(moment)[8:])
        if start < injected:
            raise ValueError(f"{name}: the scan begins before RadiopharmaceuticalStartDateTime {moment}{_INSTEAD}")
        return start - injected
    if half_life > _LONG_HALF_LIFE:
        raise _lacking(name, "RadiopharmaceuticalStartDateTime, and dates")
    time = tracer.get("RadiopharmaceuticalStartTime") or (None if moment is None else str(moment)[8:])
    start = _scan_start(stack, dated=False)
    if time is None or start is None:
        raise _lacking(name, "RadiopharmaceuticalStartTime" if time is None else "AcquisitionTime")
    elapsed = start - _seconds("", str(time))
    if elapsed < 0:
        elapsed += _DAY
        if elapsed > _PAST_MIDNIGHT:
            raise ValueError(
                f"{name}: by the time of day the scan begins {_DAY - elapsed:g} s before the injection, or "
                f"{elapsed / 3600:.3g} hours after it: expected at most {_PAST_MIDNIGHT / 3600:g} hours past "
                f"midnight{_INSTEAD}"
            )
    return elapsed


def _scan_start(stack: Stack, dated: bool = True) -> float | None:
    """The start of the scan in seconds; ``None`` if the headers lack it.

    It is the time of the series or, if earlier, of the first acquisition: a series may be reconstructed afterwards.
    """
    moments = [_moment(frame, "Acquisition", dated) for frame in stack.frames]
    acquired = [moment for moment in moments if moment is not None]
    series = _moment(stack.frames[0], "Series", dated)
    return min(acquired + ([] if series is None else [series]), default=None)


def _moment(frame: Frame, what: str, dated: bool) -> float | None:
    date, time = (frame.get(what + part) for part in ("Date", "Time"))
    if time is None or (dated and date is None):
        return None
    return _seconds(str(date) if dated else "", str(time))


def _seconds(date: str, time: str) -> float:
    """Seconds of DICOM's YYYYMMDD, which may be empty, and HHMMSS.FFFFFF."""
    time = time.replace(":", "").split("+")[0].split("-")[0]
    days = datetime.strptime(date.replace(".", ""), "%Y%m%d").toordinal() if date else 0
    return days * _DAY + int(time[:2]) * 3600 + int(time[2:4] or 0) * 60 + float(time[4:] or 0)
