"""Chooses runtime and precision for a device."""

from __future__ import annotations

import importlib.util
import logging
import os
from os import PathLike
from typing import Any

import torch
from torch import nn

from uniseg_nets.io.errors import NotInstalledError
from uniseg_nets.runtimes.eager import EagerRuntime

__all__ = ["in_bfloat16", "resolve_runtime", "resolved_runtime", "with_runtime"]

logger = logging.getLogger(__name__)

_RUNTIMES = ("auto", "torch", "compile", "openvino")
_PRECISIONS = ("auto", "fp32", "bf16")
# Limits oneDNN, in PyTorch and OpenVINO, to older instructions such as AVX2. PyTorch then emulates bfloat16, and
# OpenVINO 2026 crashes while it computes.
_ISA_LIMIT = "ONEDNN_MAX_CPU_ISA"


def with_runtime(
    network: Any, runtime: str = "auto", precision: str = "auto", cache_dir: str | PathLike[str] | None = None
) -> nn.Module:
    """Wraps a network in a runtime, ready for :class:`~uniseg_nets.inferers.sliding_window.UniSegInferer`.

    Args:
        network: a :class:`~uniseg_nets.UniSeg` or :class:`~uniseg_nets.UniSegBackbone`, or a ``ModuleList`` of such.
        runtime: ``torch``; ``compile`` for ``torch.compile``; ``openvino`` (CPU only); ``auto`` for OpenVINO on a CPU
            if it is installed, else PyTorch.
        precision: ``fp32``; ``bf16``; ``auto`` for bfloat16 if the processor has instructions for it.
        cache_dir: folder of converted networks; the user's cache by default.

    Raises:
        ValueError: if there is no such runtime or precision, or OpenVINO is chosen for a network on a GPU or while
            ``ONEDNN_MAX_CPU_ISA`` limits oneDNN to older instructions.
        NotInstalledError: if OpenVINO is chosen and not installed; the message says how to install it.
    """
    if isinstance(network, nn.ModuleList):
        return nn.ModuleList(with_runtime(member, runtime, precision, cache_dir) for member in network)
    network.eval()
    runtime, bfloat16 = resolve_runtime(runtime, precision, next(network.parameters()).device)
    logger.info("runtime %s, %s", runtime, "bf16" if bfloat16 else "fp32")
    if runtime != "openvino":
        return EagerRuntime(network, bfloat16, runtime == "compile")
    from uniseg_nets.runtimes.cached import user_cache
    from uniseg_nets.runtimes.openvino import OpenVINORuntime

    return OpenVINORuntime(network, bfloat16, user_cache() if cache_dir is None else cache_dir)


def resolve_runtime(runtime: str, precision: str, device: torch.device) -> tuple[str, bool]:
    """The runtime for a device, with ``auto`` resolved, and whether it computes in bfloat16.

    Raises:
        ValueError, NotInstalledError: as for :func:`with_runtime`.
    """
    if runtime not in _RUNTIMES or precision not in _PRECISIONS:
        raise ValueError(
            f"runtime {runtime!r}, precision {precision!r}: expected one of {_RUNTIMES} and one of {_PRECISIONS}"
        )
    installed = importlib.util.find_spec("openvino") is not None
    limit = os.environ.get(_ISA_LIMIT)
    if runtime == "auto":
        runtime = "openvino" if installed and not limit and device.type == "cpu" else "torch"
    if runtime == "openvino" and device.type != "cpu":
        raise ValueError(f"runtime openvino computes on a CPU, the network is on {device}: choose runtime torch")
    if runtime == "openvino" and not installed:
        raise NotInstalledError("runtime openvino: install it with `pip install openvino`, or choose runtime torch")
    if runtime == "openvino" and limit:
        raise ValueError(
            f"runtime openvino cannot compute with {_ISA_LIMIT}={limit}: unset it, or choose runtime torch"
        )
    bfloat16 = _has_bfloat16(device) if precision == "auto" else precision == "bf16"
    return runtime, bfloat16


def resolved_runtime(runtime: str, precision: str, device: torch.device | str) -> dict[str, str]:
    """Runtime and precision on a device, with ``auto`` resolved, for the record beside a result.

    Raises:
        ValueError, NotInstalledError: as for :func:`with_runtime`.
    """
    runtime, bfloat16 = resolve_runtime(runtime, precision, torch.device(device))
    return {"runtime": runtime, "precision": "bf16" if bfloat16 else "fp32"}


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
