"""Checks the cases of a data set, and says what is faulty."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from uniseg_nets.data.copies import originals
from uniseg_nets.io.messages import in_lines, listing
from uniseg_nets.plan.choose import looks_like_hounsfield
from uniseg_nets.plan.fingerprint import CaseFingerprint, extract_fingerprint
from uniseg_nets.quality.before import FAT

__all__ = ["channel_names", "extract_all", "faults_of", "labels_in_use", "refuse_absent_classes", "report_faults"]

logger = logging.getLogger(__name__)


def extract_all(cases: Sequence[Mapping[str, Any]]) -> tuple[list[CaseFingerprint], dict[str, str]]:
    """The fingerprints of readable cases, and the faults of the others."""
    fingerprints: list[CaseFingerprint] = []
    faults: dict[str, str] = {}
    for case in tqdm(cases, desc="extracting fingerprints", unit="case", disable=None):
        try:
            fingerprints.append(extract_fingerprint(case))
        except (ValueError, OSError) as error:
            faults[case["name"]] = str(error)
    if not fingerprints:
        raise ValueError(report_faults(faults, len(cases)))
    return fingerprints, faults


def channel_names(fingerprints: Sequence[CaseFingerprint], named: Sequence[str] | None) -> tuple[str, ...]:
    """The modalities of the channels: as named, or CT or MR according to the intensities."""
    usual = Counter(len(case.intensities) for case in fingerprints).most_common(1)[0][0]
    if named is None:
        guessed = []
        for index in range(usual):
            members = [case.intensities[index] for case in fingerprints if len(case.intensities) == usual]
            low, high = np.median([m[0] for m in members]), np.median([m[-1] for m in members])
            guessed.append("CT" if looks_like_hounsfield(low, high) else "MR")
        logger.info("channels taken as %s, from their intensities; `--channels` overrides this", ", ".join(guessed))
        named = guessed
    names = tuple("CT" if str(name).upper() == "CT" else str(name) for name in named)
    for index, name in enumerate(names):
        members = [case.intensities[index] for case in fingerprints if len(case.intensities) > index]
        if members and name != "CT" and np.mean([looks_like_hounsfield(m[0], m[-1]) for m in members]) > 0.5:
            logger.warning(
                "channel %d is named %r but looks like Hounsfield units: is it `CT`? (--channels)", index, name
            )
        if members and name == "CT" and np.mean([m[0] > FAT for m in members]) > 0.5:
            logger.warning(
                "channel %d is named CT, but most cases have no value below %g, as fat has in Hounsfield units: is it "
                "another modality? (--channels)",
                *(index, FAT),
            )
    return names


def labels_in_use(fingerprints: Sequence[CaseFingerprint]) -> dict[int, str]:
    """A name for each value that a label map holds."""
    values = sorted({value for case in fingerprints for value in case.voxels})
    names = {value: f"class_{value}" for value in values}
    logger.info("the data set names no labels; names used: %s; `--labels` sets others", names)
    return names


def faults_of(
    fingerprints: Sequence[CaseFingerprint], channels: Sequence[str], labels: Mapping[int, str]
) -> dict[str, str]:
    """Case -> its fault: other channels, unnamed label values, or the image of another case."""
    faults = {}
    in_use = sorted({value for case in fingerprints for value in case.voxels})
    for case in fingerprints:
        unknown = sorted(set(case.voxels) - set(labels))
        if len(case.intensities) != len(channels):
            faults[case.name] = (
                f"has {len(case.intensities)} channel(s), expected {len(channels)} ({listing(channels)})"
            )
        elif unknown:
            faults[case.name] = (
                f"has label values {unknown}, the data set names {dict(labels)}: correct the label map, or name every "
                f'value, as in `--labels "{",".join(f"{value}=name" for value in in_use)}"`'
            )
    return faults | {twin: f"holds the same image as {first}" for twin, first in _copies(fingerprints).items()}


def _copies(fingerprints: Sequence[CaseFingerprint]) -> dict[str, str]:
    """Case -> the earlier case with the same image. In two folds, copies would make the validation too good."""
    first = originals({case.name: case.digest for case in fingerprints})
    return {name: original for name, original in first.items() if name != original}


def refuse_absent_classes(fingerprints: Sequence[CaseFingerprint], labels: Mapping[int, str]) -> None:
    """Refuses labels that no case has."""
    absent = {value: name for value, name in labels.items() if not any(case.voxels.get(value) for case in fingerprints)}
    if not labels or len(absent) == len(labels):
        raise ValueError("no case has any foreground: nothing to learn")
    if absent:
        rest = ",".join(f"{value}={name}" for value, name in labels.items() if value not in absent)
        raise ValueError(
            f"in no case is there {', '.join(f'{name} ({value})' for value, name in absent.items())}: add cases that "
            f'have it, or leave it out with `--labels "{rest}"`'
        )


def report_faults(faults: Mapping[str, str], total: int) -> str:
    """The message that refuses a data set of so many cases."""
    alike = len(faults) == total > 1 and len(set(faults.values())) == 1
    lines = [f"all: {next(iter(faults.values()))}"] if alike else [f"{name}: {what}" for name, what in faults.items()]
    without = ", or plan without them by `--leave_out_faulty`" if len(faults) < total else ""
    return f"{len(faults)} of {total} cases have a fault, no plan written:\n{in_lines(lines)}\ncorrect them{without}"
