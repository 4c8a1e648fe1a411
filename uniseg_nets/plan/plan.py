"""Checks a labelled data set and writes the plan, an overlay for the fine-tuning configs."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from uniseg_nets.data.copies import originals
from uniseg_nets.data.dataset_json import refuse_ignored
from uniseg_nets.io.files import atomic_path
from uniseg_nets.io.messages import in_lines, listing
from uniseg_nets.io.plain import plain_data
from uniseg_nets.plan.axes import choose_axes, choose_mirror_axes
from uniseg_nets.plan.choose import choose_patch, choose_spacing, looks_like_hounsfield
from uniseg_nets.plan.fingerprint import CaseFingerprint, extract_fingerprint
from uniseg_nets.plan.folds import by_patient, planned_cases
from uniseg_nets.plan.layouts import DataSet, read_layout
from uniseg_nets.plan.read import read_plan
from uniseg_nets.plan.scaling import CT_SCALINGS, choose_mask, choose_scaling
from uniseg_nets.plan.slot import NEAREST, NO_SLOT, check_slot, nearest_slot
from uniseg_nets.quality.before import FAT
from uniseg_nets.tasks import AXES, TaskTable
from uniseg_nets.transforms.grid import Grid

__all__ = ["PlanOptions", "plan_dataset"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PlanOptions:
    """The choices of a user. Everything else follows from the data.

    Attributes:
        name: name of the task; that of the folder by default.
        labels: value -> class name, instead of the data set's own or of ``class_VALUE``.
        channels: modalities in order, instead of the data set's own. ``CT`` means Hounsfield units.
        axes: order of the axes, ``anatomical`` or ``acquisition``; by default chosen from voxel sizes and headers.
        ct_scaling: ``percentiles`` of the data set or the official Hounsfield ``window``, for channels named CT.
        weights: pretrained weights, which determine the network's sizes.
        slot: task of the weights to start from: an id, an official name, ``nearest``, or ``none`` for a network without
            prompt.
        folds: number of cross-validation folds, if the data set defines none.
        memory_gib: memory of a training step in GiB, which determines the patch.
        batch_size: patches per step.
        seed: random seed of the folds.
        group: regular expression that finds the patient in a case's name. All cases of a patient get the same fold.
        leave_out_faulty: leave out faulty cases instead of refusing the data set.
    """

    name: str | None = None
    labels: Mapping[int, str] | None = None
    channels: Sequence[str] | None = None
    axes: str | None = None
    ct_scaling: str = "percentiles"
    weights: str | None = None
    slot: str | int | None = NEAREST
    folds: int = 5
    memory_gib: float = 8.0
    batch_size: int = 2
    seed: int = 0
    group: str | None = None
    leave_out_faulty: bool = False

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise ValueError(f"folds is {self.folds}, expected 2 or more: one to validate on, others to train on")
        if self.memory_gib <= 0:
            raise ValueError(f"memory_gib is {self.memory_gib:g}, expected a number above 0")
        if self.weights is None and self.slot not in (None, NEAREST, NO_SLOT):
            raise ValueError(
                f"slot is {self.slot}, and there are no pretrained weights: name them, or leave out the slot"
            )
        if self.axes not in (None, *AXES):
            raise ValueError(f"axes is {self.axes!r}, expected one of {', '.join(AXES)}")
        if self.ct_scaling not in CT_SCALINGS:
            raise ValueError(f"ct_scaling is {self.ct_scaling!r}, expected one of {', '.join(CT_SCALINGS)}")


def plan_dataset(
    source: str | PathLike[str], output: str | PathLike[str], options: PlanOptions | None = None
) -> dict[str, Any]:
    """Extracts the fingerprint of every case and writes the plan; returns it.

    Raises:
        FileNotFoundError: if there is no such data set.
        ValueError: if the output is there and is no plan or another one, the layout is unknown, a name has no patient
            or would be evaluated by a config, a patient is on two sides of the data set's own split, a label marks
            voxels to ignore, cases are faulty, or the intensities or names make no task. The message names all faults
            and says what to do; nothing is written.
    """
    _refuse_to_replace(Path(output))
    options = options or PlanOptions()
    pretrained = _pretrained_network(options)
    data = by_patient(read_layout(source), options.group)
    if data.unpaired:
        logger.warning("images without label map, or label maps without image, left out: %s", listing(data.unpaired))
    fingerprints, faults = _extract_all(data.cases)
    channels = _channel_names(fingerprints, options.channels or data.channels)
    labels = dict(options.labels or data.labels or _labels_in_use(fingerprints))
    refuse_ignored(labels, data.root)
    faults |= _case_faults(fingerprints, channels, labels)
    faults |= {twin: f"holds the same image as {first}" for twin, first in _copies(fingerprints).items()}
    if faults and not options.leave_out_faulty:
        raise ValueError(_report_faults(faults, len(data.cases)))
    for name, fault in faults.items():
        logger.warning("left out %s: %s", name, fault)
    usable = [case for case in fingerprints if case.name not in faults]
    _check_classes(usable, labels)
    empty = [case.name for case in usable if not case.voxels]
    if empty:
        logger.warning("no foreground in %d of %d cases, which are kept: %s", len(empty), len(usable), listing(empty))
    if pretrained.get("slot") == NEAREST:
        pretrained["slot"] = nearest_slot(channels, list(labels.values()), pretrained["pretrained_sizes"]["tasks"])
    plan = _plan(data, usable, channels, labels, pretrained, options)
    _refuse_code(plan, data.root)
    _refuse_entry(plan["task_entry"], data.root)
    _refuse_another(Path(output), plan)
    with atomic_path(output) as temporary:
        temporary.write_text(_pretty(plan), encoding="utf-8")
    return plan


def _refuse_to_replace(output: Path) -> None:
    """Refuses to overwrite what is no plan, such as the data set's own JSON."""
    if not output.is_file():
        return
    try:
        read_plan(output)
    except ValueError as error:
        raise ValueError(f"{output} is there and is no plan: choose another file for the plan") from error


def _refuse_another(output: Path, plan: Mapping[str, Any]) -> None:
    """Refuses to overwrite another plan: networks may be trained with it, and a user may have edited it."""
    if not output.is_file():
        return
    there, plan = read_plan(output), json.loads(json.dumps(plan))
    others = [key for key in {**plan, **there} if plan.get(key) != there.get(key)]
    if others:
        raise ValueError(
            f"{output} is there and is another plan, with other {listing(others)}: nothing was written, since networks "
            "need the plan of their training: choose another file for this plan, or move that one away"
        )


def _refuse_code(plan: Mapping[str, Any], root: Path) -> None:
    """Refuses names that a config's parser would evaluate after the plan is laid over a config."""
    try:
        plain_data({key: plan[key] for key in ("task_entry", "data", "fingerprint")})
    except ValueError as error:
        raise ValueError(f"{root}: {error}: rename the case, the channel or the label") from error


def _refuse_entry(entry: Mapping[str, Any], root: Path) -> None:
    """Refuses a task that the configs would refuse, such as two labels of one name."""
    try:
        TaskTable([entry])
    except ValueError as error:
        raise ValueError(f"{root} makes no task, no plan written: {error}") from error


def _extract_all(cases: Sequence[Mapping[str, Any]]) -> tuple[list[CaseFingerprint], dict[str, str]]:
    """The fingerprints of readable cases, and the faults of the others."""
    fingerprints: list[CaseFingerprint] = []
    faults: dict[str, str] = {}
    for case in tqdm(cases, desc="extracting fingerprints", unit="case", disable=None):
        try:
            fingerprints.append(extract_fingerprint(case))
        except (ValueError, OSError) as error:
            faults[case["name"]] = str(error)
    if not fingerprints:
        raise ValueError(_report_faults(faults, len(cases)))
    return fingerprints, faults


def _channel_names(fingerprints: Sequence[CaseFingerprint], named: Sequence[str] | None) -> tuple[str, ...]:
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


def _labels_in_use(fingerprints: Sequence[CaseFingerprint]) -> dict[int, str]:
    values = sorted({value for case in fingerprints for value in case.voxels})
    names = {value: f"class_{value}" for value in values}
    logger.info("the data set names no labels; names used: %s; `--labels` sets others", names)
    return names


def _case_faults(
    fingerprints: Sequence[CaseFingerprint], channels: Sequence[str], labels: Mapping[int, str]
) -> dict[str, str]:
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
    return faults


def _copies(fingerprints: Sequence[CaseFingerprint]) -> dict[str, str]:
    """Case -> the earlier case with the same image. In two folds, copies would make the validation too good."""
    first = originals({case.name: case.digest for case in fingerprints})
    return {name: original for name, original in first.items() if name != original}


def _check_classes(fingerprints: Sequence[CaseFingerprint], labels: Mapping[int, str]) -> None:
    absent = {value: name for value, name in labels.items() if not any(case.voxels.get(value) for case in fingerprints)}
    if not labels or len(absent) == len(labels):
        raise ValueError("no case has any foreground: nothing to learn")
    if absent:
        rest = ",".join(f"{value}={name}" for value, name in labels.items() if value not in absent)
        raise ValueError(
            f"in no case is there {', '.join(f'{name} ({value})' for value, name in absent.items())}: add cases that "
            f'have it, or leave it out with `--labels "{rest}"`'
        )


def _plan(
    data: DataSet,
    fingerprints: Sequence[CaseFingerprint],
    channels: Sequence[str],
    labels: Mapping[int, str],
    sizes: Mapping[str, Any],
    options: PlanOptions,
) -> dict[str, Any]:
    axes = _axes(fingerprints, list(labels.values()), options.axes)
    grids, spacing = _grids(fingerprints, axes)
    mirror_axes, sided = choose_mirror_axes(grids, list(labels.values()))
    if sided:
        logger.info("%s", sided)
    extents = [case.extent(grid) / spacing for case, grid in zip(fingerprints, grids)]
    base_features = sizes.get("network_def#base_features", 32)
    patch = choose_patch(np.median(extents, axis=0).tolist(), options.memory_gib, base_features, options.batch_size)
    return {
        "fingerprint": _data_fingerprint(fingerprints, channels, labels, grids, extents),
        "task_entry": {
            "name": options.name or data.root.resolve().name,
            "channels": list(channels),
            "spacing": list(spacing),
            "classes": list(labels.values()),
            "values": list(labels),
            "axes": axes,
            "scaling": choose_scaling(channels, [case.foreground for case in fingerprints], options.ct_scaling),
            "mask": choose_mask(channels, [case.crop_share for case in fingerprints]),
            "mirror_axes": list(mirror_axes),
        },
        "patch_size": list(patch),
        "batch_size": options.batch_size,
        **sizes,
        "data": planned_cases(data, {case.name for case in fingerprints}, options.folds, options.seed),
    }


def _grids(fingerprints: Sequence[CaseFingerprint], axes: str) -> tuple[list[Grid], tuple[float, float, float]]:
    """The cases' grids as the network will see them, and the spacing.

    Whether a scan counts as a stack depends on the task's spacing, which follows from the grids: where more scans are
    stacks by a first spacing, their slices count for the second one.
    """
    first = _spacing([case.grid(axes) for case in fingerprints])
    spacing = _spacing([case.grid(axes, first) for case in fingerprints])
    return [case.grid(axes, spacing) for case in fingerprints], spacing


def _spacing(grids: Sequence[Grid]) -> tuple[float, float, float]:
    return choose_spacing([grid.spacing for grid in grids], [grid.stored_shape for grid in grids])


def _pretrained_network(options: PlanOptions) -> dict[str, Any]:
    """The config values for the network of the pretrained weights, with the prompt of its slot."""
    if options.weights is None:
        return {}
    from uniseg_nets.weights.checkpoints import read_weights
    from uniseg_nets.weights.licence import terms_of

    weights = read_weights(options.weights)
    sizes, overrides = weights.sizes, weights.overrides()
    del overrides["patch_size"]  # chosen from the data
    pretrained = {"tasks": sizes["num_tasks"], "in_channels": sizes["in_channels"], "patch_size": sizes["patch_size"]}
    slot = check_slot(options.slot, sizes["num_tasks"])
    if slot != NO_SLOT:
        overrides |= {
            "slot": slot,
            "network_def#_target_": "uniseg_nets.PromptTunedUniSeg",
            "network_def#slot": "@slot",
            "network_def#num_tasks": sizes["num_tasks"],
            "network_def#patch_size": sizes["patch_size"],  # of the universal prompt
        }
    return {
        "pretrained": str(Path(options.weights).resolve()),
        "pretrained_license": terms_of(options.weights, weights.official),
        "pretrained_sizes": pretrained,
        **overrides,
    }


def _axes(fingerprints: Sequence[CaseFingerprint], classes: Sequence[str], requested: str | None) -> str:
    """The order of the axes; logs the reason."""
    if requested is not None:
        return requested
    axes, reason, doubt = choose_axes([case.grid("anatomical") for case in fingerprints], classes)
    logger.info("axes in %s order: %s; `--axes` overrides this", axes, reason)
    if doubt:
        logger.warning("%s", doubt)
    return axes


def _data_fingerprint(
    fingerprints: Sequence[CaseFingerprint],
    channels: Sequence[str],
    labels: Mapping[int, str],
    grids: Sequence[Grid],
    extents: Sequence[np.ndarray],
) -> dict[str, Any]:
    """Statistics of the data set for people; no config reads them."""
    spacings = np.asarray([grid.spacing for grid in grids])
    intensities = np.asarray([case.intensities for case in fingerprints])  # (case, channel, percentile)
    total = sum(float(np.prod(case.file_shape)) for case in fingerprints)
    return {
        "cases": len(fingerprints),
        "spacing_mm_zyx": {key: _rounded(value) for key, value in _spread(spacings).items()},
        "size_at_plan_spacing_zyx": {key: _rounded(value, 0) for key, value in _spread(np.asarray(extents)).items()},
        "intensities": {
            f"{index} {name}": {
                "median_of_min_p1_median_p99_max": _rounded(np.median(intensities[:, index], axis=0)),
            }
            for index, name in enumerate(channels)
        },
        "classes": {
            name: {
                "cases": sum(1 for case in fingerprints if case.voxels.get(value)),
                "share_of_voxels": float(f"{sum(case.voxels.get(value, 0) for case in fingerprints) / total:.3g}"),
            }
            for value, name in labels.items()
        },
    }


def _spread(values: np.ndarray) -> dict[str, np.ndarray]:
    return {"min": values.min(axis=0), "median": np.median(values, axis=0), "max": values.max(axis=0)}


def _rounded(values: np.ndarray, digits: int = 3) -> list[float]:
    return [round(float(value), digits) for value in values]


def _report_faults(faults: Mapping[str, str], total: int) -> str:
    alike = len(faults) == total > 1 and len(set(faults.values())) == 1
    lines = [f"all: {next(iter(faults.values()))}"] if alike else [f"{name}: {what}" for name, what in faults.items()]
    without = ", or plan without them by `--leave_out_faulty`" if len(faults) < total else ""
    return f"{len(faults)} of {total} cases have a fault, no plan written:\n{in_lines(lines)}\ncorrect them{without}"


def _pretty(plan: Mapping[str, Any]) -> str:
    """JSON for people: short lists and cases on one line each."""
    lines = []
    for key, value in plan.items():
        if key == "data":
            members = ",\n".join("        " + json.dumps(case) for case in value)
            lines.append(f'    "data": [\n{members}\n    ]')
        elif isinstance(value, dict):
            members = ",\n".join(f"        {json.dumps(name)}: {json.dumps(item)}" for name, item in value.items())
            lines.append(f"    {json.dumps(key)}: {{\n{members}\n    }}")
        else:
            lines.append(f"    {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"
