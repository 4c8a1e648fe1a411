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
_MOST_HALF_LIVES = 20  # no activity is left after more
_LEAST_DOSE = 1e5  # Bq; smaller numbers have another unit
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
    if dose < _LEAST_DOSE or half_life <= 0 or weight <= 0:
        raise ValueError(
            f"{name}: dose {dose:g} Bq, half-life {half_life:g} s, weight {weight:g} kg: expected a dose above "
            f"{_LEAST_DOSE:g} Bq and numbers above 0"
        )
    elapsed = 0.0 if decay == "ADMIN" else _since_injection(stack, tracer, half_life, name)
    if elapsed > _MOST_HALF_LIVES * half_life:
        raise ValueError(
            f"{name}: {elapsed:g} s from injection to scan at a half-life of {half_life:g} s: wrong times{_INSTEAD}"
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
    return (start - _seconds("", str(time))) % _DAY  # modulo a day: the scan may be after midnight


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
