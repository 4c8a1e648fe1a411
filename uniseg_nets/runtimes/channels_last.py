"""A network with channels-last memory layout, for reduced precision.

The bfloat16 convolutions of oneDNN and cuDNN compute in this layout; with any other one, each of them copies its input
and its output. Sums run in another order, so that results are not exactly those of the official release.
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
    """A copy of a network for inference, with weights and features in channels-last layout."""
    network = convert_conv3d_weight_memory_format(copy.deepcopy(network), torch.channels_last_3d)
    norms = {name: norm for name, norm in network.named_modules() if isinstance(norm, nn.InstanceNorm3d)}
    for name, norm in norms.items():
        network.set_submodule(name, _InstanceNorm.like(norm))
    return network


class _InstanceNorm(nn.InstanceNorm3d):
    """Instance normalisation without a copy for a single sample, (1, C, D, H, W).

    PyTorch's own converts every input to channels-first layout. For a single sample it equals batch normalisation with
    the sample's own statistics, which takes any layout.
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
