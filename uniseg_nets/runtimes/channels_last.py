"""Channels-last memory layout, for training on a CPU and for reduced precision.

oneDNN's backward pass in float32 and the bfloat16 convolutions of oneDNN and cuDNN are fastest in this layout; with any
other one, each of them copies its input and its output. Sums run in another order, so that results are not exactly
those of the official release.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import convert_conv3d_weight_memory_format

__all__ = ["channels_last", "for_training"]

Network = TypeVar("Network", bound=nn.Module)


def for_training(network: Network, device: torch.device | str, bfloat16: bool = False) -> Network:
    """The network on the device of its training: in float32 on a CPU channels last, else in PyTorch's own layout.

    Gradients in bfloat16 were not checked in this layout.
    """
    network = network.to(device)
    return channels_last(network) if torch.device(device).type == "cpu" and not bfloat16 else network


def channels_last(network: Network) -> Network:
    """Lays the weights and the features of a network channels last, in place. Returns the network.

    Parameters and their names stay the same: weight files and checkpoints fit both layouts.
    """
    network = convert_conv3d_weight_memory_format(network, torch.channels_last_3d)
    norms = {name: norm for name, norm in network.named_modules() if isinstance(norm, nn.InstanceNorm3d)}
    for name, norm in norms.items():
        network.set_submodule(name, _InstanceNorm.like(norm))
    return network


class _InstanceNorm(nn.InstanceNorm3d):
    """Instance normalisation in any memory layout, (B, C, D, H, W).

    PyTorch's own converts its input to channels-first layout, forward and backward. For a single sample it equals batch
    normalisation with the sample's own statistics, which takes any layout.
    """

    @classmethod
    def like(cls, norm: nn.InstanceNorm3d) -> _InstanceNorm:
        own = cls(norm.num_features, norm.eps, affine=norm.affine)
        own.weight, own.bias = norm.weight, norm.bias
        return own

    def forward(self, x: Tensor) -> Tensor:
        each = [
            F.batch_norm(sample, None, None, self.weight, self.bias, training=True, eps=self.eps)
            for sample in x.split(1)
        ]
        return each[0] if len(each) == 1 else torch.cat(each)
