"""What travels between a site and the federation's server, by tensor name."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from monai.fl.utils.exchange_object import ExchangeObject
from monai.fl.utils.filters import Filter
from torch import Tensor

from uniseg_nets.io.messages import did_you_mean, listing
from uniseg_nets.weights.freezing import belongs

__all__ = ["PARTS", "Travelling", "byte_count"]

logger = logging.getLogger(__name__)

# Choice -> the parts of a network that travel, see `uniseg_nets.weights.freezing.belongs`; none means all parts.
PARTS: dict[str, tuple[str, ...]] = {
    "everything": (),
    "decoder": ("decoder", "decoder5", "decoder4", "decoder3", "decoder2", "out"),
    "prompts": ("task_prompts", "vit.prompts"),
    "fuse": ("task_prompts.fuse",),
    "norms": ("task_prompts.universal", "vit.prompts", "*.norm", "*.norm1", "*.norm2", "*.norm3"),
}


class Travelling(Filter):
    """A filter of MONAI's client: of the weights it keeps those that may travel.

    As one of ``pre_filters`` it drops what the server sends beyond the agreed tensors, as one of
    ``post_weight_filters`` what the site would send.

    Args:
        travels: a name in :data:`PARTS`. ``prompts`` are prompts and FUSE, of the transformer its prompts; ``fuse`` is
            FUSE alone; ``norms`` are the prompts, and scale and shift of all normalisations. ``decoder`` has the heads.
        private: parts that never travel, such as ``task_prompts.universal``, the centre's own prompt; see
            :func:`~uniseg_nets.weights.freezing.belongs`.

    Raises:
        ValueError: there is no such choice.
    """

    def __init__(self, travels: str = "everything", private: Sequence[str] = ()) -> None:
        if travels not in PARTS:
            near = did_you_mean(str(travels), PARTS)
            raise ValueError(f"travels is {travels!r}: {near}expected one of {', '.join(PARTS)}")
        self.travels = travels
        self.private = tuple(private)

    def chosen(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The tensors that travel."""
        parts = PARTS[self.travels]
        return {
            name: tensor
            for name, tensor in weights.items()
            if (not parts or belongs(name, parts)) and not belongs(name, self.private)
        }

    def kept(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The private tensors."""
        return {name: tensor for name, tensor in weights.items() if belongs(name, self.private)}

    def trained(self, name: str) -> bool:
        """Whether a site trains a parameter: what neither travels nor is private stays as it was loaded."""
        parts = PARTS[self.travels]
        return not parts or belongs(name, parts) or belongs(name, self.private)

    def __call__(self, data: ExchangeObject, extra: dict[str, Any] | None = None) -> ExchangeObject:
        """The exchange with the chosen tensors alone.

        Raises:
            ValueError: none of its tensors may travel.
        """
        weights = data.weights or {}
        data.weights = self.chosen(weights)
        if not data.weights:
            raise ValueError(
                f"travels is {self.travels!r} and none of {len(weights)} tensors is of these parts: the tensors are "
                f"{listing(list(weights), shown=3)}"
            )
        logger.info("%d of %d tensors travel, %d bytes", len(data.weights), len(weights), byte_count(data.weights))
        return data


def byte_count(weights: Mapping[str, Tensor]) -> int:
    """Bytes of the values of tensors."""
    return sum(tensor.numel() * tensor.element_size() for tensor in weights.values())
