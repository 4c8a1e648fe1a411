"""Calibrates a bundle's network for INT8 with scans of a task, and compares its label maps with those of float32."""

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
from uniseg_nets.io.errors import NotInstalledError
from uniseg_nets.quality.network import members_of, pairwise_dice

__all__ = ["calibrate_int8", "mean_agreement"]

logger = logging.getLogger(__name__)


def calibrate_int8(
    scans: Sequence[Any],
    task: str | Sequence[str],
    bundle: str | PathLike[str] = "uniseg_upstream",
    windows: int = 32,
    cache_dir: str | PathLike[str] | None = None,
    **overrides: Any,
) -> float:
    """Quantises a network for a task; ``precision="int8"`` finds it afterwards, on this machine, for the same weights.

    With several scans the last third, which gave no windows, is compared with float32; with one scan, that scan.

    Args:
        scans: what a :class:`~uniseg_nets.bundle.segmenter.Segmenter` takes; no labels are needed.
        task: the task, or several.
        bundle: as for :class:`~uniseg_nets.bundle.segmenter.Segmenter`.
        windows: windows to measure the ranges of the activations with.
        cache_dir: folder of converted networks; the user's cache by default.
        overrides: as for :class:`~uniseg_nets.bundle.segmenter.Segmenter`, such as ``weights``.

    Returns:
        The Dice between the label maps in 8 bits and in float32, mean over classes and scans.

    Raises:
        NotInstalledError: if OpenVINO or NNCF is not installed.
        ValueError: no scans, or nothing is found in the scans that are compared.
    """
    if not scans:
        raise ValueError("no scans to calibrate with")
    if missing := [name for name in ("openvino", "nncf") if find_spec(name) is None]:
        raise NotInstalledError(f"a calibration needs {' and '.join(missing)}: `pip install {' '.join(missing)}`")
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
        models.append(quantise(recorder))
    fast = [Int8Runtime(recorder.network, reference) for recorder, reference in zip(recorders, models)]
    segmenter.network = nn.ModuleList(fast)
    agreement = mean_agreement([segmenter(scan) for scan in compared], expected)
    for recorder, reference in zip(recorders, models):
        store_int8(reference, recorder.network, task, agreement, cache_dir)
    return agreement


def mean_agreement(label_maps: Sequence[NDArray[Any]], expected: Sequence[NDArray[Any]]) -> float:
    """Mean Dice of label maps with those expected, over scans and the classes that are found in them.

    Raises:
        ValueError: if nothing is found in any scan.
    """
    rates = [pairwise_dice([np.asarray(label) for label in pair]) for pair in zip(label_maps, expected)]
    if np.isnan(rates).all():
        raise ValueError("nothing is found in the scans that are compared: calibrate with scans that show the organ")
    return float(np.nanmean(rates))
