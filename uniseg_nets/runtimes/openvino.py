"""OpenVINO as the runtime on a CPU: three compiled parts that share their features without a copy.

The task's prompt is an input of the model, so that one model serves all tasks.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, cast

import openvino as ov
import torch
from openvino.preprocess import PrePostProcessor
from torch import Tensor, nn

from uniseg_nets.nets import UniSegBackbone
from uniseg_nets.nets.unet import TOTAL_STRIDE
from uniseg_nets.runtimes.base import Runtime
from uniseg_nets.runtimes.cached import cached_models
from uniseg_nets.runtimes.core import core

__all__ = ["COARSE_SKIPS", "FINE_SKIPS", "PARTS", "TRACED", "OpenVINORuntime", "resize"]

# Encoder features of each part, finest first as 0. PyTorch concatenates the sixth, the bottleneck, with the prompt.
COARSE_SKIPS = (4, 3, 2)
FINE_SKIPS = (1, 0)
# Names of the parts, in their order.
PARTS = ("encoder", "coarse", "fine")
# Image size (z, y, x) for tracing; the parts are reshaped to the window's size later.
TRACED = tuple(2 * stride for stride in TOTAL_STRIDE)


class OpenVINORuntime(Runtime):
    """The inference steps of a network in OpenVINO, compiled per window size.

    Features are OpenVINO tensors and valid until the next ``encode``. The prompts are computed by PyTorch.

    Args:
        network: a :class:`~uniseg_nets.UniSeg` or :class:`~uniseg_nets.UniSegBackbone` on the CPU, in evaluation mode.
        precision: ``fp32`` or ``bf16``.
        cache_dir: folder of converted networks, see :mod:`uniseg_nets.runtimes.cached`; ``None`` for no cache.
    """

    def __init__(self, network: UniSegBackbone, precision: str = "fp32", cache_dir: str | PathLike[str] | None = None):
        super().__init__(network)
        self._cache_dir = None if cache_dir is None else Path(cache_dir)
        self._bfloat16 = precision == "bf16"
        self._parts: dict[tuple[int, ...], _Parts] = {}
        self._used: _Parts | None = None
        self.register_load_state_dict_post_hook(type(self)._convert_again)

    def _convert_again(self, incompatible: Any) -> None:
        """Drops the converted parts after other weights were loaded."""
        self._parts, self._used = {}, None

    def models(self, batch: int, channels: int) -> list[Any]:
        """The models of the parts, for windows of the smallest size (B, C, 32, 64, 64)."""
        convert = partial(_converted, self.network, batch, channels)
        return cached_models(self.network, f"{batch} {channels}", PARTS, convert, self._cache_dir)

    def encode(self, x: Tensor) -> list[Any]:
        size = tuple(x.shape)
        if size not in self._parts:
            self._parts[size] = _Parts(self.models(*size[:2]), size, self._bfloat16)
        self._used = self._parts[size]
        return self._used.encode(x)

    def decode_coarse(self, features: list[Any], prompt: Tensor) -> tuple[Any, Tensor]:
        assert self._used is not None
        return self._used.decode_coarse(torch.cat((features[-1], prompt), dim=1))

    def decode_fine(self, features: list[Any], x: Any) -> Tensor:
        assert self._used is not None
        return self._used.decode_fine()


class _Parts:
    """The compiled parts for one input size (B, C, D, H, W); outputs of a part are inputs of the next one."""

    def __init__(self, models: Sequence[Any], size: Sequence[int], bfloat16: bool):
        edges: tuple[tuple[list[int], list[int]], ...] = (
            ([0], [5]),
            ([0], [1]),
            ([], [0]),
        )  # tensors shared with PyTorch stay float32
        self._encoder, self._coarse, self._fine = (
            _compiled(model, size, bfloat16, inputs, outputs).create_infer_request()
            for model, (inputs, outputs) in zip(models, edges)
        )
        for place, index in enumerate(COARSE_SKIPS, start=1):
            self._coarse.set_input_tensor(place, self._encoder.get_output_tensor(index))
        self._fine.set_input_tensor(0, self._coarse.get_output_tensor(0))
        for place, index in enumerate(FINE_SKIPS, start=1):
            self._fine.set_input_tensor(place, self._encoder.get_output_tensor(index))

    def encode(self, x: Tensor) -> list[Any]:
        self._infer(self._encoder, x)
        features: list[Any] = [self._encoder.get_output_tensor(index) for index in range(5)]
        return [*features, torch.from_numpy(self._encoder.get_output_tensor(5).data)]

    def decode_coarse(self, bottom: Tensor) -> tuple[Any, Tensor]:
        self._infer(self._coarse, bottom)
        return self._coarse.get_output_tensor(0), torch.from_numpy(self._coarse.get_output_tensor(1).data)

    def decode_fine(self) -> Tensor:
        self._fine.infer()
        return torch.from_numpy(self._fine.get_output_tensor(0).data)

    def _infer(self, part: Any, x: Tensor) -> None:
        """Runs a part on a tensor's memory. OpenVINO does not keep it alive, the local variable ``held`` does."""
        held = x.contiguous().numpy()
        part.set_input_tensor(0, ov.Tensor(held, shared_memory=True))
        part.infer()


class _Coarse(nn.Module):
    """:meth:`UniSegBackbone.decode_coarse` with separate tensors as arguments: bottom, then the skips upwards."""

    def __init__(self, network: UniSegBackbone):
        super().__init__()
        self.decoder = network.decoder

    def forward(self, bottom: Tensor, fourth: Tensor, third: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        x = self.decoder.decode_levels([bottom, bottom, second, third, fourth, bottom], bottom, 0, 3)
        return x, self.decoder.heads[2](x)


class _Fine(nn.Module):
    """:meth:`UniSegBackbone.decode_fine` with separate tensors as arguments."""

    def __init__(self, network: UniSegBackbone):
        super().__init__()
        self.decoder = network.decoder

    def forward(self, x: Tensor, first: Tensor, finest: Tensor) -> Tensor:
        logits: Tensor = self.decoder.heads[4](self.decoder.decode_levels([finest, first, x, x, x, x], x, 3, 5))
        return logits


def _converted(network: UniSegBackbone, batch: int, channels: int) -> list[Any]:
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns about comparisons of sizes, which are fixed here
        image = torch.zeros(batch, channels, *TRACED)
        features = network.encoder(image)
        width = cast(nn.ConvTranspose3d, network.decoder.upsamples[0]).in_channels
        bottom = torch.zeros([batch, width, *features[-1].shape[2:]])
        coarse, fine = _Coarse(network), _Fine(network)
        low = (bottom, *(features[index] for index in COARSE_SKIPS))
        high = (coarse(*low)[0], *(features[index] for index in FINE_SKIPS))
        return [
            ov.convert_model(module, example_input=inputs, input=[tensor.shape for tensor in inputs])
            for module, inputs in ((network.encoder, (image,)), (coarse, low), (fine, high))
        ]


def resize(model: Any, old: Sequence[int], new: Sequence[int]) -> None:
    """Changes the window (z, y, x) that a part was made for; its other inputs follow."""
    shapes = [list(edge.shape) for edge in model.inputs]
    model.reshape(
        {
            index: [*shape[:2], *(n * wanted // was for n, wanted, was in zip(shape[2:], new, old))]
            for index, shape in enumerate(shapes)
        }
    )


def _compiled(model: Any, size: Sequence[int], bfloat16: bool, inputs: Sequence[int], outputs: Sequence[int]) -> Any:
    """Compiles a model for images (B, C, D, H, W). With bfloat16, ``inputs`` and ``outputs`` stay float32."""
    resize(model, TRACED, size[2:])
    if bfloat16:
        edges = PrePostProcessor(model)
        for index in set(range(len(model.inputs))) - set(inputs):
            edges.input(index).tensor().set_element_type(ov.Type.bf16)
        for index in set(range(len(model.outputs))) - set(outputs):
            edges.output(index).tensor().set_element_type(ov.Type.bf16)
        model = edges.build()
    return core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "bf16" if bfloat16 else "f32"})
