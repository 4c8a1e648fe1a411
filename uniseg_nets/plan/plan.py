"""Makes the plan of a labelled data set, an overlay for the fine-tuning configs."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from uniseg_nets.data.dataset_json import refuse_ignored
from uniseg_nets.io.messages import listing
from uniseg_nets.plan.axes import choose_axes, choose_mirror_axes
from uniseg_nets.plan.check import (
    channel_names,
    extract_all,
    faults_of,
    labels_in_use,
    refuse_absent_classes,
    report_faults,
)
from uniseg_nets.plan.choose import choose_patch, choose_spacing
from uniseg_nets.plan.fingerprint import CaseFingerprint
from uniseg_nets.plan.folds import by_patient, planned_cases
from uniseg_nets.plan.layouts import DataSet, read_layout
from uniseg_nets.plan.options import PlanOptions
from uniseg_nets.plan.scaling import choose_mask, choose_scaling
from uniseg_nets.plan.slot import NEAREST, NO_SLOT, check_slot, nearest_slot
from uniseg_nets.plan.write import refuse_to_replace, write_plan
from uniseg_nets.transforms.grid import Grid

__all__ = ["plan_dataset"]

logger = logging.getLogger(__name__)


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
    refuse_to_replace(Path(output))
    options = options or PlanOptions()
    pretrained = _pretrained_network(options)
    data = by_patient(read_layout(source), options.group)
    if data.unpaired:
        logger.warning("images without label map, or label maps without image, left out: %s", listing(data.unpaired))
    fingerprints, faults = extract_all(data.cases)
    channels = channel_names(fingerprints, options.channels or data.channels)
    labels = dict(options.labels or data.labels or labels_in_use(fingerprints))
    refuse_ignored(labels, data.root)
    faults |= faults_of(fingerprints, channels, labels)
    if faults and not options.leave_out_faulty:
        raise ValueError(report_faults(faults, len(data.cases)))
    for name, fault in faults.items():
        logger.warning("left out %s: %s", name, fault)
    usable = [case for case in fingerprints if case.name not in faults]
    refuse_absent_classes(usable, labels)
    empty = [case.name for case in usable if not case.voxels]
    if empty:
        logger.warning("no foreground in %d of %d cases, which are kept: %s", len(empty), len(usable), listing(empty))
    if pretrained.get("slot") == NEAREST:
        pretrained["slot"] = nearest_slot(channels, list(labels.values()), pretrained["pretrained_sizes"]["tasks"])
    plan = _plan(data, usable, channels, labels, pretrained, options)
    write_plan(plan, Path(output), data.root)
    return plan


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
