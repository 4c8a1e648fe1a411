"""INT8 inference: OpenVINO's models with 8-bit convolutions, calibrated by NNCF on windows of a task's own scans.

The one rule: a quantised network computes only after its label maps were compared with those of float32. It lies
beside the converted networks (:mod:`uniseg_nets.runtimes.cached`), one per network and task.

The range of every activation is measured on the windows. Weights keep 7 bits by default, NNCF's guard against
overflow, so that processors with and without VNNI instructions compute the same.
"""

from __future__ import annotations

import json
import logging
import shutil
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from uniseg_nets.io.errors import not_installed
from uniseg_nets.io.files import read_json
from uniseg_nets.nets import UniSegBackbone
from uniseg_nets.runtimes.cached import network_digest, store_models, stored_models, user_cache
from uniseg_nets.runtimes.openvino import COARSE_SKIPS, FINE_SKIPS, PARTS, TRACED, OpenVINORuntime, resize

__all__ = ["LEAST_AGREEMENT", "Int8Runtime", "RecordingRuntime", "quantise", "read_int8", "store_int8"]

# Dice between the label maps in 8 bits and in float32, mean over classes and scans, below which INT8 is refused.
LEAST_AGREEMENT = 0.95
_CHECK = "check.json"

Window = tuple[Tensor, Tensor]


class Int8Runtime(OpenVINORuntime):
    """The inference steps of a network in 8 bits.

    Args:
        network: as for :class:`~uniseg_nets.runtimes.openvino.OpenVINORuntime`.
        models: its models in 8 bits, from :func:`quantise` or :func:`read_int8`.
    """

    def __init__(self, network: UniSegBackbone, models: Mapping[str, Any]) -> None:
        super().__init__(network)
        self._models, self._weights = models, network_digest(network, "")

    def models(self, batch: int, channels: int) -> list[Any]:
        if batch != 1:
            raise ValueError(f"precision int8 computes one window at a time, not {batch}")
        return [self._models[part].clone() for part in PARTS]

    def shared(self, features: list[Any]) -> list[Any]:
        """Features for several tasks: unchanged, the models in 8 bits are those of one task."""
        return features

    def _convert_again(self, incompatible: Any) -> None:
        if network_digest(self.network, "") != self._weights:
            raise ValueError("precision int8 is calibrated for other weights: choose another precision to load these")


class RecordingRuntime(OpenVINORuntime):
    """Computes in float32 and keeps some of the windows that it computed, drawn by a seed, for a calibration.

    Args:
        network: as for :class:`~uniseg_nets.runtimes.openvino.OpenVINORuntime`.
        count: how many windows to keep.
        cache_dir: as for :class:`~uniseg_nets.runtimes.openvino.OpenVINORuntime`.

    Attributes:
        windows: the image (1, C, D, H, W) and the task's prompt (1, 1, d, h, w) of each kept window.
    """

    def __init__(self, network: UniSegBackbone, count: int = 32, cache_dir: str | PathLike[str] | None = None) -> None:
        super().__init__(network, "fp32", cache_dir)
        self.windows: list[Window] = []
        self._count, self._seen, self._rng = count, 0, np.random.default_rng(0)
        self._image = torch.empty(0)

    def encode(self, x: Tensor) -> list[Any]:
        self._image = x
        return super().encode(x)

    def decode_coarse(self, features: list[Any], prompt: Tensor) -> tuple[Any, Tensor]:
        self._seen += 1
        place = len(self.windows) if self._seen <= self._count else int(self._rng.integers(self._seen))
        if place < self._count:
            self.windows[place : place + 1] = [(self._image.clone(), prompt.clone())]
        return super().decode_coarse(features, prompt)

    @torch.no_grad()
    def inputs_of(self, part: str, window: Window) -> list[NDArray[np.float32]]:
        """The arrays that a part of the network is given for a kept window."""
        image, prompt = window
        if part == "encoder":
            return [image.numpy()]
        features = OpenVINORuntime.encode(self, image)
        if part == "coarse":
            return [
                torch.cat((features[-1], prompt), dim=1).numpy(),
                *(np.array(features[i].data) for i in COARSE_SKIPS),
            ]
        coarse, _ = OpenVINORuntime.decode_coarse(self, features, prompt)
        return [np.array(coarse.data), *(np.array(features[i].data) for i in FINE_SKIPS)]


def quantise(recorded: RecordingRuntime, weight_bits: int = 7) -> dict[str, Any]:
    """The models of a network in 8 bits, by the name of their part, from the windows that were recorded.

    Args:
        recorded: the runtime that kept the windows.
        weight_bits: bits of the weights, 7 or 8. With 8 a processor without VNNI may add beyond 16 bits, which it
            cuts off.

    Raises:
        NotInstalledError: if NNCF is not installed.
        ValueError: if no windows were recorded, or windows of several sizes.
    """
    nncf = _nncf()
    sizes = {tuple(image.shape) for image, _ in recorded.windows}
    if len(sizes) != 1:
        raise ValueError(f"windows of sizes {sorted(sizes)}: a calibration needs windows of one size")
    ((_, channels, *window),) = sizes
    logging.getLogger("nncf").setLevel(logging.ERROR)
    fix = nncf.OverflowFix.ENABLE if weight_bits == 7 else nncf.OverflowFix.DISABLE
    guard = nncf.AdvancedQuantizationParameters(overflow_fix=fix)
    models = {}
    for part, model in zip(PARTS, recorded.models(1, channels)):
        resize(model, TRACED, window)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            models[part] = nncf.quantize(
                model,
                nncf.Dataset(recorded.windows, partial(recorded.inputs_of, part)),
                preset=nncf.QuantizationPreset.MIXED,
                subset_size=len(recorded.windows),
                advanced_parameters=guard,
            )
        resize(models[part], window, TRACED)
    return models


def _nncf() -> Any:
    """NNCF, whose import would change the class of all loggers that are made after it."""
    loggers = logging.getLoggerClass()
    try:
        import nncf
    except ImportError as error:
        raise not_installed("a calibration", "nncf") from error
    finally:
        logging.setLoggerClass(loggers)
    return nncf


def store_int8(
    models: Mapping[str, Any],
    network: UniSegBackbone,
    task: str | Sequence[str],
    agreement: float,
    cache_dir: str | PathLike[str] | None = None,
) -> None:
    """Writes the models of a network in 8 bits for a task; those of an earlier calibration are replaced.

    Args:
        models: from :func:`quantise`.
        network: the network.
        task: the task, or several.
        agreement: Dice of the label maps in 8 bits with those in float32.
        cache_dir: folder of converted networks; the user's cache by default.
    """
    folder = _folder(network, task, cache_dir)
    shutil.rmtree(folder, ignore_errors=True)
    store_models(folder, models, {_CHECK: json.dumps({"agreement": agreement})})


def read_int8(
    network: UniSegBackbone, task: str | Sequence[str], cache_dir: str | PathLike[str] | None = None
) -> dict[str, Any]:
    """The models that :func:`store_int8` wrote for the network and the task.

    Raises:
        ValueError: if there are none, or their label maps differ too much from those in float32.
    """
    folder, name = _folder(network, task, cache_dir), _joined(task)
    if not (folder / _CHECK).is_file():
        raise ValueError(
            f"precision int8: this network is not calibrated for {name} on this machine; run `uniseg calibrate SCANS "
            f"--task {name}` with a few such scans, or leave the precision to auto"
        )
    agreement = read_json(folder / _CHECK)["agreement"]
    if agreement < LEAST_AGREEMENT:
        raise ValueError(
            f"precision int8: label maps of {name} in 8 bits agree with those in float32 by a Dice of {agreement:.3f}, "
            f"at least {LEAST_AGREEMENT} is needed: choose another precision"
        )
    return dict(zip(PARTS, stored_models(folder, PARTS)))


def _joined(task: str | int | Sequence[str]) -> str:
    return str(task) if isinstance(task, (str, int)) else ",".join(map(str, task))


def _folder(network: UniSegBackbone, task: str | Sequence[str], cache_dir: str | PathLike[str] | None) -> Path:
    cache = user_cache() if cache_dir is None else Path(cache_dir)
    if cache is None:
        raise ValueError("precision int8 needs a folder for its networks: name one in XDG_CACHE_HOME")
    return cache / network_digest(network, f"int8 {_joined(task)}")
