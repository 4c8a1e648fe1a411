"""TensorRT for the encoder on an NVIDIA GPU, by MONAI's ``trt_compile``; prompts and decoder stay in PyTorch."""

from __future__ import annotations

import copy
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from monai.networks import trt_compile
from torch import Tensor, nn

from uniseg_nets.nets import UniSegBackbone
from uniseg_nets.runtimes.eager import EagerRuntime

__all__ = ["TensorRTRuntime", "lacking_for_tensorrt"]

# Module -> the package to install.
_PACKAGES = {
    "tensorrt": "tensorrt",
    "polygraphy": "polygraphy",
    "onnx": "onnx",
    "onnxscript": "onnxscript",
    "cuda": "cuda-python",
}


def lacking_for_tensorrt(device: torch.device) -> str:
    """What TensorRT needs and is not there, in words; empty if all is."""
    missing = [package for module, package in _PACKAGES.items() if find_spec(module) is None]
    if device.type != "cuda":
        missing.insert(0, f"an NVIDIA GPU (the network is on {device})")
    return ", ".join(missing)


class TensorRTRuntime(EagerRuntime):
    """The inference steps of a network: the encoder in TensorRT, an engine per window size, the others in PyTorch.

    An engine is built for its first window, which takes minutes, and lasts as long as the runtime. Features are valid
    until the next ``encode`` of a window of the same size.

    Args:
        network: a :class:`~uniseg_nets.UniSeg` or :class:`~uniseg_nets.UniSegBackbone` on a GPU.
        bfloat16: compute in bfloat16.
    """

    def __init__(self, network: UniSegBackbone, bfloat16: bool = False):
        super().__init__(network, bfloat16)
        self._plain = [network.encoder]  # in a list, so that it is no part of the runtime's state
        self._precision = "bf16" if bfloat16 else "fp32"
        self._engines: dict[torch.Size, nn.Module | Exception] = {}
        self.register_load_state_dict_post_hook(type(self)._build_again)

    def _build_again(self, incompatible: Any) -> None:
        """Drops the engines after other weights were loaded."""
        self._engines.clear()

    def encode(self, x: Tensor) -> list[Tensor]:
        """See :meth:`Runtime.encode`.

        Raises:
            RuntimeError: if TensorRT could not build the engine; at once for each further window of this size.
        """
        if x.shape not in self._engines:
            self._engines[x.shape] = self._built(x)
        engine = self._engines[x.shape]
        if isinstance(engine, Exception):
            raise RuntimeError(f"TensorRT cannot compute the encoder: {engine}; choose the runtime torch") from engine
        with torch.cuda.device(x.device):
            features: list[Tensor] = engine(x)
        return features

    def _built(self, x: Tensor) -> nn.Module | Exception:
        """A copy of the encoder in PyTorch's own layout with its engine, or why there is none."""
        encoder = copy.deepcopy(self._plain[0])
        encoder.load_state_dict(self.network.encoder.state_dict())
        with tempfile.TemporaryDirectory() as folder, torch.cuda.device(x.device):
            try:
                trt_compile(encoder, str(Path(folder) / "encoder"), {"precision": self._precision})(x)
            except Exception as error:  # TensorRT and the exporter raise errors of any kind
                return error
        return encoder
