"""A network laid out for reduced precision: channels last in memory, and norms that leave them there.

oneDNN's and cuDNN's bfloat16 convolutions compute in that order; from any other one, each of them copies its input and
its output. It sums in another order too, and therefore is not for results that must equal the official ones.
"""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import convert_conv3d_weight_memory_format

__all__ = ["channels_last"]

Network = TypeVar("Network", bound=nn.Module)


def channels_last(network: Network) -> Network:
    """A copy of a network for inference, its weights and features channels last."""
    network = convert_conv3d_weight_memory_format(copy.deepcopy(network), torch.channels_last_3d)
    norms = {name: norm for name, norm in network.named_modules() if isinstance(norm, nn.InstanceNorm3d)}
    for name, norm in norms.items():
        network.set_submodule(name, _InstanceNorm.like(norm))
    return network


class _InstanceNorm(nn.InstanceNorm3d):
    """Instance normalisation that copies nothing for a single sample, (1, C, D, H, W).

    PyTorch's own brings every input into channels-first order. Of a single sample it is batch normalisation by the
    sample's own statistics, which takes any order.
    """

    @classmethod
    def like(cls, norm: nn.InstanceNorm3d) -> _InstanceNorm:
        own = cls(norm.num_features, norm.eps, affine=norm.affine)
        own.load_state_dict(norm.state_dict())
        return own.to(norm.weight.device)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[0] > 1:
            return super().forward(x)
        return F.batch_norm(x, None, None, self.weight, self.bias, training=True, eps=self.eps)
