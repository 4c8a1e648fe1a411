"""What of a network is trained: freezing the rest, the optimiser's parameters, and the part as a file."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from torch import Tensor, nn

__all__ = ["TrainedPart", "train_only", "trainable"]

logger = logging.getLogger(__name__)


def train_only(network: nn.Module, trained: Sequence[str] = (), frozen: Sequence[str] = ()) -> nn.Module:
    """Freezes parameters by the beginnings of their names, and logs how many remain to be trained.

    The 3D networks have neither dropout nor running statistics, so that ``network.train()`` changes nothing frozen.

    Args:
        network: whose parameters.
        trained: what is trained; empty for everything.
        frozen: what of that is not trained.

    Raises:
        ValueError: a beginning in ``trained`` that no parameter has (named), or nothing left to train.
    """
    names = [name for name, _ in network.named_parameters()]
    unknown = [start for start in trained if not any(name.startswith(start) for name in names)]
    if unknown:
        tops = sorted({".".join(name.split(".")[:2]) for name in names})
        raise ValueError(f"no parameter begins with {unknown}; there are {', '.join(tops)}")
    for name, parameter in network.named_parameters():
        chosen = not trained or name.startswith(tuple(trained))
        parameter.requires_grad_(chosen and not name.startswith(tuple(frozen)))
    count = sum(parameter.numel() for parameter in trainable(network))
    total = sum(parameter.numel() for parameter in network.parameters())
    if not count:
        raise ValueError(f"trained={list(trained)}, frozen={list(frozen)} leaves nothing to train")
    logger.info("training %s of %s parameters (%.2f %%)", f"{count:,}", f"{total:,}", 100 * count / total)
    return network


def trainable(network: nn.Module) -> list[nn.Parameter]:
    """The parameters that are not frozen: what an optimiser is to hold states for."""
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


class TrainedPart:
    """The parameters of a network that are trained, as something that ``CheckpointSaver`` saves: a centre's file."""

    def __init__(self, network: nn.Module):
        self.network = network

    def state_dict(self) -> dict[str, Tensor]:
        """Parameters by name; prompts of no token are left out."""
        network = getattr(self.network, "module", self.network)  # without the data-parallel wrapper
        return {name: p.detach() for name, p in network.named_parameters() if p.requires_grad and p.numel()}
