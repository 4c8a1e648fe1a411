"""Runtimes for the 2D network: PyTorch, or OpenVINO on a CPU, with one interface for the inferer."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from uniseg_nets.nets.esp_medsam import ESPMedSAM
from uniseg_nets.runtimes.choose import resolve_runtime

__all__ = ["with_picture_runtime"]

logger = logging.getLogger(__name__)


def with_picture_runtime(network: ESPMedSAM, runtime: str = "auto", precision: str = "auto") -> nn.Module:
    """Wraps a network in a runtime: image (B, 3, S, S) and modality -> logits (B, 1, S, S).

    Args:
        network: the network.
        runtime, precision: as for :func:`uniseg_nets.runtimes.with_runtime`, but for ``tensorrt`` and ``int8``.

    Raises:
        ValueError, NotInstalledError: as for :func:`uniseg_nets.runtimes.with_runtime`.
    """
    if runtime == "tensorrt":
        raise ValueError("runtime tensorrt is for networks of 3D scans: choose auto, torch, compile or openvino")
    network.eval()
    runtime, precision = resolve_runtime(runtime, precision, next(network.parameters()).device)
    if precision == "int8":
        raise ValueError("precision int8 is for networks of 3D scans: choose auto, fp32 or bf16")
    logger.info("runtime %s, %s", runtime, precision)
    bfloat16 = precision == "bf16"
    if runtime == "openvino":
        return _OpenVINO(network, bfloat16)
    return _Eager(network, bfloat16, runtime == "compile")


class _Eager(nn.Module):
    """The network in PyTorch, under autocast."""

    def __init__(self, network: ESPMedSAM, bfloat16: bool, compiled: bool):
        super().__init__()
        self.network = network
        self._bfloat16 = bfloat16
        self._compute: Any = torch.compile(network) if compiled else network

    def forward(self, image: Tensor, modality: str | None = None) -> Tensor:
        with torch.autocast(image.device.type, torch.bfloat16, enabled=self._bfloat16):
            logits: Tensor = self._compute(image, modality)
        return logits.float()


class _OpenVINO(nn.Module):
    """The network in OpenVINO: one model per modality and image size, converted on first use."""

    def __init__(self, network: ESPMedSAM, bfloat16: bool):
        super().__init__()
        self.network = network
        self._options = {"INFERENCE_PRECISION_HINT": "bf16" if bfloat16 else "f32"}
        self._models: dict[tuple[str, torch.Size], Any] = {}

    def forward(self, image: Tensor, modality: str | None = None) -> Tensor:
        modality = self.network.known(self.network.modalities[0] if modality is None else modality)
        key = modality, image.shape
        if key not in self._models:
            self._models[key] = self._compiled(image, modality)
        # A copy: OpenVINO reuses the memory for the next image.
        return torch.from_numpy(self._models[key](image.numpy())[0].copy())

    def _compiled(self, image: Tensor, modality: str) -> Any:
        import openvino as ov

        from uniseg_nets.runtimes.cached import cached_models, user_cache
        from uniseg_nets.runtimes.core import core

        def convert() -> list[Any]:
            with torch.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # tracing warns about comparisons of sizes, which are fixed here
                return [ov.convert_model(_OfModality(self.network, modality), example_input=image, input=[image.shape])]

        variant = f"{modality} {tuple(image.shape)}"
        (model,) = cached_models(self.network, variant, ["network"], convert, user_cache())
        return core().compile_model(model, "CPU", self._options)


class _OfModality(nn.Module):
    """The network with a fixed modality."""

    def __init__(self, network: ESPMedSAM, modality: str):
        super().__init__()
        self.network = network
        self.modality = modality

    def forward(self, image: Tensor) -> Tensor:
        return self.network.segment(image, self.modality).mask
