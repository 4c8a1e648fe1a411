"""Loads base weights into a network and freezes all but the trained part."""

from __future__ import annotations

import logging
from collections.abc import Container, Sequence
from os import PathLike

from torch import nn

from uniseg_nets.nets.prompt_unetr import PROMPTS
from uniseg_nets.weights.checkpoints import read_state
from uniseg_nets.weights.freezing import belongs, train_only

__all__ = ["load_base"]

logger = logging.getLogger(__name__)


def load_base(
    network: nn.Module,
    weights: str | PathLike[str] | None,
    trained: tuple[str, ...] | list[str] = (),
    strict: bool = True,
) -> nn.Module:
    """Loads base weights into a network, freezes all but ``trained``, and logs what was loaded.

    Args:
        network: a :class:`~uniseg_nets.nets.PromptUNETR`, or any network.
        weights: file with a flat state dict, such as ours or that of MONAI's UNETR; ``None`` for random weights.
        trained: parts to train, see :func:`~uniseg_nets.weights.freezing.belongs`; empty for everything.
        strict: refuse weights that lack a tensor. Otherwise tensors of the same shape are loaded.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a tensor is missing or has another shape, or, without ``strict``, if no tensor fits; or if the
            file lacks a parameter that is not trained, which would keep a random value.
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
        if trained:
            _refuse_random(network, fits, trained, weights)
    elif trained:
        logger.warning("no base weights: what is not trained keeps the values that it has, perhaps random ones")
    return train_only(network, trained)


def _refuse_random(
    network: nn.Module, loaded: Container[str], trained: Sequence[str], weights: str | PathLike[str]
) -> None:
    """Raises ``ValueError`` if a parameter is neither loaded nor trained."""
    random = [
        name
        for name, _ in network.named_parameters()
        if not (name in loaded or name == PROMPTS or belongs(name, trained))
    ]
    if random:
        raise ValueError(
            f"{len(random)} parameters that are not trained, such as {', '.join(random[:3])}, are not in "
            f"{weights} and would keep random values: set the sizes, such as "
            "small.json, with which the weights were trained"
        )
