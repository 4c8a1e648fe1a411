"""OpenVINO as the runtime on a CPU: compiled parts that share their features without a copy.

The task's prompt is an input of the model, so that one model serves all tasks. For several tasks of one window, what
the decoder computes of the encoder's features alone is computed once (:mod:`uniseg_nets.runtimes.shared_skips`).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
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
from uniseg_nets.runtimes.shared_skips import SharedLevels, SkipShares

__all__ = ["COARSE_SKIPS", "FINE_SKIPS", "PARTS", "TRACED", "OpenVINORuntime", "resize"]

# Encoder features of each part, finest first as 0. PyTorch concatenates the sixth, the bottleneck, with the prompt.
COARSE_SKIPS = (4, 3, 2)
FINE_SKIPS = (1, 0)
# Names of the parts, in their order.
PARTS = ("encoder", "coarse", "fine")
# The parts of the decoder for several tasks: the skips' shares of its convolutions, then the rest.
_SHARED_PARTS = ("coarse_skips", "coarse_rest", "fine_skips", "fine_rest")
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

    def shared_models(self, batch: int, channels: int) -> list[Any]:
        """The models of the decoder for several tasks, as :meth:`models`."""
        convert = partial(_converted_shared, self.network, batch, channels)
        return cached_models(self.network, f"{batch} {channels} shared", _SHARED_PARTS, convert, self._cache_dir)

    def encode(self, x: Tensor) -> list[Any]:
        size = tuple(x.shape)
        if size not in self._parts:
            self._parts[size] = _Parts(self.models(*size[:2]), size, self._bfloat16)
        self._used = self._parts[size]
        return self._used.encode(x)

    def shared(self, features: list[Any]) -> list[Any]:
        assert self._used is not None
        self._used.share(self.shared_models)
        return features

    def decode_coarse(self, features: list[Any], prompt: Tensor) -> tuple[Any, Tensor]:
        assert self._used is not None
        return self._used.decoder.coarse(torch.cat((features[-1], prompt), dim=1))

    def decode_fine(self, features: list[Any], x: Any) -> Tensor:
        assert self._used is not None
        return self._used.decoder.fine()


class _Parts:
    """The compiled parts for one input size (B, C, D, H, W); outputs of a part are inputs of the next one."""

    def __init__(self, models: Sequence[Any], size: Sequence[int], bfloat16: bool):
        self._size, self._bfloat16 = size, bfloat16
        encoder, *self._models = models
        self._encoder = self._request(encoder, [0], [5])
        self._of_one: _Decoder | None = None  # each is compiled when it is needed, to spare memory
        self._of_several: _Decoder | None = None
        self._chosen: _Decoder | None = None

    def _request(self, model: Any, inputs: Sequence[int], outputs: Sequence[int]) -> Any:
        """A compiled part. Its ``inputs`` and ``outputs`` that are shared with PyTorch stay float32."""
        return _compiled(model, self._size, self._bfloat16, inputs, outputs).create_infer_request()

    def _skips(self) -> list[list[Any]]:
        """The encoder's tensors that the coarse and the fine part read."""
        return [[self._encoder.get_output_tensor(index) for index in part] for part in (COARSE_SKIPS, FINE_SKIPS)]

    def encode(self, x: Tensor) -> list[Any]:
        _infer(self._encoder, x)
        self._chosen = None
        features: list[Any] = [self._encoder.get_output_tensor(index) for index in range(5)]
        return [*features, torch.from_numpy(self._encoder.get_output_tensor(5).data)]

    def share(self, models: Callable[[int, int], Sequence[Any]]) -> None:
        """Takes the decoder of several tasks for the window that was encoded last; ``models`` are its parts."""
        if self._of_several is None:
            coarse_skips, coarse, fine_skips, fine = models(*self._size[:2])
            before = [self._request(coarse_skips, [], []), self._request(fine_skips, [], [])]
            for part, tensors in zip(before, self._skips()):
                for place, tensor in enumerate(tensors):
                    part.set_input_tensor(place, tensor)
            self._of_several = self._decoder(coarse, fine, [[*part.output_tensors] for part in before], before)
        self._of_several.begin()
        self._chosen = self._of_several

    @property
    def decoder(self) -> _Decoder:
        """The decoder for the window that was encoded last: that of one task, or after :meth:`share` of several."""
        if self._chosen is None:
            if self._of_one is None:
                coarse, fine = self._models
                self._of_one, self._models = self._decoder(coarse, fine, self._skips()), []
            self._chosen = self._of_one
        return self._chosen

    def _decoder(self, coarse: Any, fine: Any, skips: Sequence[Sequence[Any]], before: Sequence[Any] = ()) -> _Decoder:
        return _Decoder(self._request(coarse, [0], [1]), self._request(fine, [], [0]), skips, before)


class _Decoder:
    """The two parts of a decoder, the tensors of their skips, and what computes these once per window."""

    def __init__(self, coarse: Any, fine: Any, skips: Sequence[Sequence[Any]], before: Sequence[Any] = ()):
        self._coarse, self._fine, self._before = coarse, fine, before
        fine.set_input_tensor(0, coarse.get_output_tensor(0))
        for part, tensors in zip((coarse, fine), skips):
            for place, tensor in enumerate(tensors, start=1):
                part.set_input_tensor(place, tensor)
        self.begin()

    def begin(self) -> None:
        """A new window."""
        self._left = list(self._before)

    def coarse(self, bottom: Tensor) -> tuple[Any, Tensor]:
        """See :meth:`Runtime.decode_coarse`; ``bottom`` is the bottleneck with the prompt."""
        self._compute_skips(left=1)
        _infer(self._coarse, bottom)
        return self._coarse.get_output_tensor(0), torch.from_numpy(self._coarse.get_output_tensor(1).data)

    def fine(self) -> Tensor:
        """See :meth:`Runtime.decode_fine`."""
        self._compute_skips(left=0)
        self._fine.infer()
        return torch.from_numpy(self._fine.get_output_tensor(0).data)

    def _compute_skips(self, left: int) -> None:
        """Computes the skips of the coarse part, and with ``left`` 0 those of the fine part, once per window."""
        while len(self._left) > left:
            self._left.pop(0).infer()


def _infer(part: Any, x: Tensor) -> None:
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
    with torch.no_grad():
        image, features, bottom = _examples(network, batch, channels)
        coarse, fine = _Coarse(network), _Fine(network)
        low = (bottom, *(features[index] for index in COARSE_SKIPS))
        high = (coarse(*low)[0], *(features[index] for index in FINE_SKIPS))
    return [_convert(network.encoder, (image,)), _convert(coarse, low), _convert(fine, high)]


def _converted_shared(network: UniSegBackbone, batch: int, channels: int) -> list[Any]:
    with torch.no_grad():
        _, features, x = _examples(network, batch, channels)
        models = []
        for skips, levels, heads in ((COARSE_SKIPS, (0, 1, 2), True), (FINE_SKIPS, (3, 4), False)):
            before, rest = SkipShares(network.decoder, levels), SharedLevels(network.decoder, levels, heads)
            inputs = tuple(features[index] for index in skips)
            shares = before(*inputs)
            models += [_convert(before, inputs), _convert(rest, (x, *shares))]
            x = rest(x, *shares)[0]
    return models


def _examples(network: UniSegBackbone, batch: int, channels: int) -> tuple[Tensor, list[Tensor], Tensor]:
    """For tracing: an image of the smallest size, its features, and a bottleneck with the prompt."""
    image = torch.zeros(batch, channels, *TRACED)
    features = network.encoder(image)
    width = cast(nn.ConvTranspose3d, network.decoder.upsamples[0]).in_channels
    return image, features, torch.zeros([batch, width, *features[-1].shape[2:]])


def _convert(module: nn.Module, inputs: tuple[Tensor, ...]) -> Any:
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns about comparisons of sizes, which are fixed here
        return ov.convert_model(module, example_input=inputs, input=[tensor.shape for tensor in inputs])


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
