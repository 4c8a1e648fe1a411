"""What of a network is trained: freezing the rest, the optimiser's parameters, and the part as a file."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from torch import Tensor, nn

__all__ = ["TrainedPart", "train_only", "trainable"]

logger = logging.getLogger(__name__)


def train_only(network: nn.Module, trained: Sequence[str] = (), frozen: Sequence[str] = ()) -> nn.Module:
    """Freezes parameters by the parts they belong to, and logs how many remain to be trained.

    The 3D networks have neither dropout nor running statistics, so that ``network.train()`` changes nothing frozen;
    ESP-MedSAM sees to its own.

    Args:
        network: whose parameters.
        trained: parts that are trained, such as ``encoder`` or ``vit.prompts``; empty for everything.
        frozen: what of that is not trained.

    Raises:
        ValueError: a part in ``trained`` that the network does not have (named), or nothing left to train.
    """
    names = [name for name, _ in network.named_parameters()]
    unknown = [part for part in trained if not any(_belongs(name, [part]) for name in names)]
    if unknown:
        tops = sorted({".".join(name.split(".")[:2]) for name in names})
        raise ValueError(f"no part {unknown} in the network; there are {', '.join(tops)}")
    for name, parameter in network.named_parameters():
        chosen = not trained or _belongs(name, trained)
        parameter.requires_grad_(chosen and not _belongs(name, frozen))
    count = sum(parameter.numel() for parameter in trainable(network))
    total = sum(parameter.numel() for parameter in network.parameters())
    if not count:
        raise ValueError(f"trained={list(trained)}, frozen={list(frozen)} leaves nothing to train")
    logger.info("training %s of %s parameters (%.2f %%)", f"{count:,}", f"{total:,}", 100 * count / total)
    return network


def _belongs(name: str, parts: Sequence[str]) -> bool:
    return any(name == part or name.startswith(f"{part}.") for part in parts)


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
