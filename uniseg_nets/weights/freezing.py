"""Freezing: the trained part of a network, for the optimiser and as a file, and the frozen base that it belongs to."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Container, Sequence
from functools import cached_property
from os import PathLike

from torch import Tensor, nn

from uniseg_nets.nets.prompt_unetr import PROMPTS
from uniseg_nets.ranks import unwrapped
from uniseg_nets.weights.beside import read_beside, write_beside

__all__ = ["TrainedPart", "base_digest", "base_of", "belongs", "check_parts", "mark_base", "train_only", "trainable"]

logger = logging.getLogger(__name__)


def train_only(network: nn.Module, trained: Sequence[str] = (), frozen: Sequence[str] = ()) -> nn.Module:
    """Freezes all parameters but those of some parts, and returns the network.

    If any is frozen, the number of the others is logged.

    The 3D networks have neither dropout nor running statistics, so that ``network.train()`` changes nothing frozen;
    ESP-MedSAM handles its batch normalisations itself.

    Args:
        network: the network.
        trained: parts to train, such as ``encoder``, ``vit.prompts`` or ``*.norm``, see :func:`belongs`; empty for
            everything.
        frozen: parts to freeze among these.

    Raises:
        ValueError: if the network lacks one of the parts (named), or nothing is left to train.
    """
    check_parts(network, (*trained, *frozen))
    for name, parameter in network.named_parameters():
        chosen = not trained or belongs(name, trained)
        parameter.requires_grad_(chosen and not belongs(name, frozen))
    count = sum(parameter.numel() for parameter in trainable(network))
    total = sum(parameter.numel() for parameter in network.parameters())
    if not count:
        raise ValueError(f"trained={list(trained)}, frozen={list(frozen)} leaves nothing to train")
    if count < total:
        logger.info("training %s of %s parameters (%.2f %%)", f"{count:,}", f"{total:,}", 100 * count / total)
    return network


def check_parts(network: nn.Module, parts: Sequence[str]) -> None:
    """Refuses names of parts that the network lacks.

    Raises:
        ValueError: if no parameter belongs to one of the parts (all named).
    """
    names = [name for name, _ in network.named_parameters()]
    unknown = [part for part in parts if not any(belongs(name, [part]) for name in names)]
    if unknown:
        tops = sorted({".".join(name.split(".")[:2]) for name in names})
        raise ValueError(f"no part {unknown} in the network; there are {', '.join(tops)}")


def belongs(name: str, parts: Sequence[str]) -> bool:
    """Whether a parameter belongs to one of the parts.

    Args:
        name: the parameter's name, such as ``encoder.stages.0.norm.weight``.
        parts: modules or parameters by name, such as ``encoder``; after ``*.`` at any depth, such as ``*.norm``.
    """
    return any(
        f".{part[2:]}." in f".{name}." if part.startswith("*.") else f"{name}.".startswith(f"{part}.") for part in parts
    )


def trainable(network: nn.Module) -> list[nn.Parameter]:
    """The parameters that are not frozen, for the optimiser."""
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def base_digest(network: nn.Module, without: Container[str]) -> str | None:
    """The SHA-256 of the tensors that a centre shares with others; ``None`` if there are none.

    Args:
        network: the network with its base.
        without: names of the centre's own tensors.
    """
    shared = {name: tensor for name, tensor in sorted(network.state_dict().items()) if name not in without}
    digest = hashlib.sha256()
    for name, tensor in shared.items():
        digest.update(name.encode())
        digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest() if shared else None


def base_of(file: str | PathLike[str]) -> str | None:
    """The digest of the base that a centre's file was made for; ``None`` if nothing beside the file says it."""
    text = read_beside(file, "base")
    return None if text is None else text.strip()


def mark_base(file: str | PathLike[str], digest: str | None) -> None:
    """Writes beside a centre's file, as ``CENTRE.pt.base``, for which shared network it was made."""
    write_beside(file, "base", None if digest is None else f"{digest}\n")


class TrainedPart:
    """The trained parameters of a network as an object with ``state_dict``, to save as a centre's file."""

    def __init__(self, network: nn.Module):
        self.network = network

    def state_dict(self) -> dict[str, Tensor]:
        """Name -> trained parameter, without empty ones."""
        parameters = unwrapped(self.network).named_parameters()
        return {name: p.detach() for name, p in parameters if p.requires_grad and p.numel()}

    @cached_property
    def base(self) -> str | None:
        """The digest of the frozen part, without which the trained one means nothing; ``None`` if nothing is frozen.

        It is computed once, as a training does not change it.
        """
        return base_digest(unwrapped(self.network), {*self.state_dict(), PROMPTS})
