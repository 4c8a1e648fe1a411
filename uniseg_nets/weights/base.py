"""A network with the weights that it begins with, frozen but for the part that is trained."""

from __future__ import annotations

import logging
from os import PathLike

from torch import nn

from uniseg_nets.nets.prompt_unetr import PROMPTS
from uniseg_nets.weights.checkpoints import read_state
from uniseg_nets.weights.freezing import train_only

__all__ = ["load_base"]

logger = logging.getLogger(__name__)


def load_base(
    network: nn.Module,
    weights: str | PathLike[str] | None,
    trained: tuple[str, ...] | list[str] = (),
    strict: bool = True,
) -> nn.Module:
    """The network with a base's weights, frozen but for ``trained``; what was loaded is logged.

    Args:
        network: a :class:`~uniseg_nets.nets.PromptUNETR`, or any network.
        weights: a flat state dict, such as ours or MONAI's UNETR's; ``None`` starts from nothing.
        trained: beginnings of the names of what is to be trained; empty for everything.
        strict: refuse weights that lack a tensor; otherwise take those whose shape fits.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a tensor is missing or of another shape, or, without ``strict``, none fits.
    """
    if weights is not None:
        state, _ = read_state(weights)
        target = {name: tensor for name, tensor in network.state_dict().items() if name != PROMPTS}
        fits = {name: state[name] for name in target if name in state and state[name].shape == target[name].shape}
        others = [name for name in target if name not in fits]
        if (strict and others) or not fits:
            raise ValueError(
                f"{weights} does not fit the network: {len(others)} of {len(target)} tensors are missing or of another "
                f"shape, such as {', '.join(others[:3])}; set network_def to the sizes the weights were trained with"
            )
        unused = [name for name in state if name not in fits and name != PROMPTS]
        network.load_state_dict(fits, strict=False)
        logger.info(
            "base %s: %d tensors loaded, %d new (%s), %d unused (%s)",
            *(weights, len(fits), len(others), ", ".join(others[:3]) or "none"),
            *(len(unused), ", ".join(unused[:3]) or "none"),
        )
    return train_only(network, trained)
