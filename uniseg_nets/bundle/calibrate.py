"""Calibrates the network of a bundle for INT8 with scans of a task, and compares its label maps with float32."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib.util import find_spec
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from uniseg_nets.bundle.segmenter import Segmenter
from uniseg_nets.io.errors import not_installed
from uniseg_nets.quality.network import members_of, pairwise_dice

__all__ = ["calibrate_int8", "mean_agreement"]

logger = logging.getLogger(__name__)


def calibrate_int8(
    scans: Sequence[Any],
    task: str | Sequence[str],
    bundle: str | PathLike[str] = "uniseg_upstream",
    windows: int = 32,
    weight_bits: int = 7,
    cache_dir: str | PathLike[str] | None = None,
    **overrides: Any,
) -> float:
    """Quantises a network for a task. Afterwards ``precision="int8"`` uses it on this machine, for the same weights.

    The last third of the scans is compared with float32 and not used for calibration; a single scan is used for both.

    Args:
        scans: what a :class:`~uniseg_nets.bundle.segmenter.Segmenter` takes; no labels are needed.
        task: the task, or several.
        bundle: as for :class:`~uniseg_nets.bundle.segmenter.Segmenter`.
        windows: number of windows on which the ranges of the activations are measured.
        weight_bits: bits of the weights, 7 or 8, see :func:`~uniseg_nets.runtimes.int8.quantise`.
        cache_dir: folder of converted networks; by default the user's cache.
        overrides: as for :class:`~uniseg_nets.bundle.segmenter.Segmenter`, such as ``weights``.

    Returns:
        The Dice between the label maps in 8 bits and in float32, mean over classes and scans.

    Raises:
        NotInstalledError: if OpenVINO or NNCF is not installed.
        ValueError: there are no scans, other bits are asked for, or the compared label maps are empty.
    """
    if not scans:
        raise ValueError("no scans to calibrate with: name at least one that shows what the task segments")
    if weight_bits not in (7, 8):
        raise ValueError(f"weight_bits={weight_bits}: expected 7 or 8")
    if missing := [name for name in ("openvino", "nncf") if find_spec(name) is None]:
        raise not_installed("a calibration", *missing)
    from uniseg_nets.runtimes.cached import user_cache
    from uniseg_nets.runtimes.int8 import Int8Runtime, RecordingRuntime, quantise, store_int8

    converted = user_cache() if cache_dir is None else cache_dir
    held = max(len(scans) // 3, 1)
    others, compared = scans[:-held], scans[-held:]
    segmenter = Segmenter(bundle, task=task, runtime="openvino", precision="fp32", **overrides)
    original = segmenter.network
    recorders = [RecordingRuntime(runtime.network, windows, converted) for runtime in members_of(original)]
    segmenter.network = nn.ModuleList(recorders)
    for scan in others:
        segmenter(scan)
    if others:
        segmenter.network = original
    expected = [segmenter(scan) for scan in compared]
    models = []
    for recorder in recorders:
        logger.info("calibrating with %d windows", len(recorder.windows))
        models.append(quantise(recorder, weight_bits))
    fast = [Int8Runtime(recorder.network, model) for recorder, model in zip(recorders, models)]
    segmenter.network = nn.ModuleList(fast)
    agreement = mean_agreement([segmenter(scan) for scan in compared], expected)
    for recorder, model in zip(recorders, models):
        store_int8(model, recorder.network, task, agreement, cache_dir)
    return agreement


def mean_agreement(label_maps: Sequence[NDArray[Any]], expected: Sequence[NDArray[Any]]) -> float:
    """The mean Dice between label maps (x, y, z) and the expected ones, over the scans and the classes in them.

    Raises:
        ValueError: if all label maps are empty.
    """
    rates = [pairwise_dice([np.asarray(label) for label in pair]) for pair in zip(label_maps, expected)]
    if np.isnan(rates).all():
        raise ValueError("nothing is found in the scans that are compared: calibrate with scans that show the organ")
    return float(np.nanmean(rates))
