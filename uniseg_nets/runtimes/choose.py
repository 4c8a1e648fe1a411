"""Chooses runtime and precision for a device."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Sequence
from os import PathLike
from typing import Any

import torch
from torch import nn

from uniseg_nets.io.errors import not_installed
from uniseg_nets.runtimes.eager import EagerRuntime
from uniseg_nets.runtimes.tensorrt import TensorRTRuntime, lacking_for_tensorrt

__all__ = ["in_bfloat16", "resolve_runtime", "resolved_runtime", "with_runtime"]

logger = logging.getLogger(__name__)

_RUNTIMES = ("auto", "torch", "compile", "openvino", "tensorrt")
_PRECISIONS = ("auto", "fp32", "bf16", "int8")
# Limits oneDNN, in PyTorch and OpenVINO, to older instructions such as AVX2. PyTorch then emulates bfloat16, and
# OpenVINO 2026 crashes while it computes.
_ISA_LIMIT = "ONEDNN_MAX_CPU_ISA"


def with_runtime(
    network: Any,
    runtime: str = "auto",
    precision: str = "auto",
    cache_dir: str | PathLike[str] | None = None,
    task: str | Sequence[str] | None = None,
) -> nn.Module:
    """Wraps a network in a runtime, ready for :class:`~uniseg_nets.inferers.sliding_window.UniSegInferer`.

    Args:
        network: a :class:`~uniseg_nets.UniSeg` or :class:`~uniseg_nets.UniSegBackbone`, or a ``ModuleList`` of such.
        runtime: ``torch``; ``compile`` for ``torch.compile``; ``openvino`` (CPU only); ``tensorrt`` (NVIDIA GPU only;
            with a warning it is ``auto`` where that or TensorRT is missing); ``auto`` for OpenVINO on a CPU if it is
            installed, else PyTorch.
        precision: ``fp32``; ``bf16``; ``int8`` (OpenVINO only) for a network that `uniseg calibrate` has calibrated;
            ``auto`` for bfloat16 if the processor has instructions for it, else float32.
        cache_dir: folder of converted networks; the user's cache by default.
        task: the task, or several, that the network computes; needed for ``int8``.

    Raises:
        ValueError: if there is no such runtime or precision; OpenVINO is chosen for a network on a GPU or while
            ``ONEDNN_MAX_CPU_ISA`` limits oneDNN to older instructions; or ``int8`` without OpenVINO as runtime, or
            without a calibration for the task.
        NotInstalledError: if OpenVINO is chosen and not installed; the message says how to install it.
    """
    device = next(network.parameters()).device
    if runtime == "tensorrt" and (lacking := lacking_for_tensorrt(device)):
        logger.warning("no TensorRT here, the runtime is auto: it needs %s", lacking)
        runtime = "auto"
    if isinstance(network, nn.ModuleList):
        return nn.ModuleList(with_runtime(member, runtime, precision, cache_dir, task) for member in network)
    network.eval()
    runtime, precision = resolve_runtime(runtime, precision, device)
    logger.info("runtime %s, %s", runtime, precision)
    if runtime == "tensorrt":
        return TensorRTRuntime(network, precision == "bf16")
    if runtime != "openvino":
        return EagerRuntime(network, precision == "bf16", runtime == "compile")
    from uniseg_nets.runtimes.cached import user_cache
    from uniseg_nets.runtimes.openvino import OpenVINORuntime

    if precision != "int8":
        return OpenVINORuntime(network, precision, user_cache() if cache_dir is None else cache_dir)
    if task is None:
        raise ValueError("precision int8 needs the task that the network was calibrated for: name it with `task`")
    from uniseg_nets.runtimes.int8 import Int8Runtime, read_int8

    return Int8Runtime(network, read_int8(network, task, cache_dir))


def resolve_runtime(runtime: str, precision: str, device: torch.device) -> tuple[str, str]:
    """Runtime and precision for a device, with ``auto`` resolved; so is ``tensorrt`` where it cannot compute.

    Raises:
        ValueError, NotInstalledError: as for :func:`with_runtime`.
    """
    if runtime not in _RUNTIMES or precision not in _PRECISIONS:
        raise ValueError(
            f"runtime {runtime!r}, precision {precision!r}: expected one of {_RUNTIMES} and one of {_PRECISIONS}"
        )
    installed = importlib.util.find_spec("openvino") is not None
    limit = os.environ.get(_ISA_LIMIT)
    if runtime == "auto" or (runtime == "tensorrt" and lacking_for_tensorrt(device)):
        runtime = "openvino" if installed and not limit and device.type == "cpu" else "torch"
    if runtime == "openvino" and device.type != "cpu":
        raise ValueError(f"runtime openvino computes on a CPU, the network is on {device}: choose runtime torch")
    if runtime == "openvino" and not installed:
        raise not_installed("the runtime openvino", "openvino", instead="choose runtime torch")
    if runtime == "openvino" and limit:
        raise ValueError(
            f"runtime openvino cannot compute with {_ISA_LIMIT}={limit}: unset it, or choose runtime torch"
        )
    if precision == "int8" and runtime != "openvino":
        raise ValueError(f"precision int8 needs the runtime openvino, on a CPU; here it is {runtime}")
    if precision == "auto":
        precision = "bf16" if _has_bfloat16(device) else "fp32"
    return runtime, precision


def resolved_runtime(runtime: str, precision: str, device: torch.device | str) -> dict[str, str]:
    """Runtime and precision on a device, with ``auto`` resolved, for the record beside a result.

    Raises:
        ValueError, NotInstalledError: as for :func:`with_runtime`.
    """
    runtime, precision = resolve_runtime(runtime, precision, torch.device(device))
    return {"runtime": runtime, "precision": precision}


def in_bfloat16(bfloat16: bool | str, device: torch.device | str) -> bool:
    """Whether a training computes in bfloat16.

    Args:
        bfloat16: True, False, or ``auto`` for True if the processor has instructions for it. Without them bfloat16 is
            emulated: on a CPU a step takes twenty times as long.
        device: device of the network.

    Raises:
        ValueError: if ``bfloat16`` is neither True, False nor ``auto``.
    """
    if bfloat16 not in (True, False, "auto"):
        raise ValueError(f"bfloat16={bfloat16!r}: expected True, False or auto")
    device = torch.device(device)
    chosen = _has_bfloat16(device) if bfloat16 == "auto" else bool(bfloat16)
    logger.info("training on %s, bfloat16 %s", device, "on" if chosen else "off")
    return chosen


def _has_bfloat16(device: torch.device) -> bool:
    """Whether the processor has bfloat16 instructions rather than an emulation."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if os.environ.get(_ISA_LIMIT):
        return False
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
