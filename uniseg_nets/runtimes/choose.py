"""Which runtime and precision serve best here."""

from __future__ import annotations

import importlib.util
import logging
import os
from os import PathLike
from typing import Any

import torch
from torch import nn

from uniseg_nets.runtimes.eager import EagerRuntime

__all__ = ["in_bfloat16", "resolve_runtime", "resolved_runtime", "with_runtime"]

logger = logging.getLogger(__name__)

_RUNTIMES = ("auto", "torch", "compile", "openvino")
_PRECISIONS = ("auto", "fp32", "bf16")
# Holds oneDNN, that of PyTorch and that of OpenVINO, to instructions below the processor's, such as AVX2. PyTorch then
# imitates bfloat16, and OpenVINO 2026 dies while it computes.
_HELD = "ONEDNN_MAX_CPU_ISA"


def with_runtime(
    network: Any, runtime: str = "auto", precision: str = "auto", cache_dir: str | PathLike[str] | None = None
) -> nn.Module:
    """The network's inference by a runtime, ready for :class:`~uniseg_nets.inferers.sliding_window.UniSegInferer`.

    Args:
        network: a :class:`~uniseg_nets.UniSeg` or :class:`~uniseg_nets.UniSegBackbone`, or a ``ModuleList`` of such.
        runtime: ``torch``; ``compile`` for ``torch.compile``; ``openvino`` (CPU alone); ``auto`` for OpenVINO on a CPU
            where it is installed, else PyTorch.
        cache_dir: where converted networks are kept; the user's cache by default.
        precision: ``fp32``; ``bf16``; ``auto`` for bfloat16 where the processor has instructions for it.

    Raises:
        ValueError: no such runtime or precision; OpenVINO for a network on a GPU, or while ``ONEDNN_MAX_CPU_ISA`` holds
            oneDNN to lesser instructions.
        ImportError: OpenVINO is asked for and not installed; says how to.
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
    """The runtime that ``auto`` stands for on a device, and whether it computes in bfloat16.

    Raises:
        ValueError, ImportError: as for :func:`with_runtime`.
    """
    if runtime not in _RUNTIMES or precision not in _PRECISIONS:
        raise ValueError(
            f"runtime {runtime!r}, precision {precision!r}: expected one of {_RUNTIMES} and one of {_PRECISIONS}"
        )
    installed = importlib.util.find_spec("openvino") is not None
    held = os.environ.get(_HELD)
    if runtime == "auto":
        runtime = "openvino" if installed and not held and device.type == "cpu" else "torch"
    if runtime == "openvino" and device.type != "cpu":
        raise ValueError(f"runtime openvino computes on a CPU, the network is on {device}: choose runtime torch")
    if runtime == "openvino" and not installed:
        raise ImportError("runtime openvino: install it with `pip install openvino`")
    if runtime == "openvino" and held:
        raise ValueError(f"runtime openvino cannot compute with {_HELD}={held}: unset it, or choose runtime torch")
    bfloat16 = _has_bfloat16(device) if precision == "auto" else precision == "bf16"
    return runtime, bfloat16


def resolved_runtime(runtime: str, precision: str, device: torch.device | str) -> dict[str, str]:
    """What a result records of the runtime and precision that were asked for: what they became on a device.

    Raises:
        ValueError, ImportError: as for :func:`with_runtime`.
    """
    runtime, bfloat16 = resolve_runtime(runtime, precision, torch.device(device))
    return {"runtime": runtime, "precision": "bf16" if bfloat16 else "fp32"}


def in_bfloat16(bfloat16: bool | str, device: torch.device | str) -> bool:
    """Whether a training computes in bfloat16.

    Args:
        bfloat16: as asked for; ``auto`` for yes where the processor has instructions for it. Elsewhere it is imitated:
            on a CPU a step takes twenty times as long.
        device: of the network.

    Raises:
        ValueError: neither true, false nor ``auto``.
    """
    if bfloat16 not in (True, False, "auto"):
        raise ValueError(f"bfloat16={bfloat16!r}: expected True, False or auto")
    device = torch.device(device)
    chosen = _has_bfloat16(device) if bfloat16 == "auto" else bool(bfloat16)
    logger.info("training on %s, bfloat16 %s", device, "on" if chosen else "off")
    return chosen


def _has_bfloat16(device: torch.device) -> bool:
    """Whether the processor computes in bfloat16 rather than imitating it."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if os.environ.get(_HELD):
        return False
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
