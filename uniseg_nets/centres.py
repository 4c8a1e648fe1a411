"""A shared network and the small files with which centres adapt it.

The one rule: the shared network is never changed. A centre's tensors stand in for its own during a call, and only then.
"""

from __future__ import annotations

import logging
import re
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from monai.inferers import SlidingWindowInferer
from torch import Tensor, nn
from torch.func import functional_call

from uniseg_nets.checkpoints import read_state
from uniseg_nets.files import sha256_of
from uniseg_nets.freezing import train_only
from uniseg_nets.nets.prompt_unetr import PROMPTS

__all__ = ["CentreInferer", "centre_sha256", "load_base", "read_centre"]

logger = logging.getLogger(__name__)

_NAME = re.compile(r"[\w-]+")


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


def read_centre(folder: str | PathLike[str], centre: str) -> dict[str, Tensor]:
    """A centre's tensors, from ``FOLDER/CENTRE.pt``.

    Raises:
        ValueError: a name that is no plain word, or no such centre (those that are there are named).
    """
    return read_state(_centre_file(folder, centre))[0]


def _centre_file(folder: str | PathLike[str], centre: str) -> Path:
    folder = Path(folder)
    known = sorted(path.stem for path in folder.glob("*.pt"))
    if not _NAME.fullmatch(centre) or centre not in known:
        raise ValueError(f"no centre {centre[:80]!r} in {folder}: there are {', '.join(known) or 'none'}")
    return folder / f"{centre}.pt"


def centre_sha256(centre: str | None, folder: str | PathLike[str]) -> str | None:
    """The hash of a centre's file, for results made with it; of no centre (``None``, "none"), ``None``.

    Raises:
        ValueError: no such centre.
    """
    return None if centre in (None, "none") else sha256_of(_centre_file(folder, str(centre)))


class CentreInferer(SlidingWindowInferer):
    """MONAI's sliding window, with a centre's tensors in place of the shared network's own.

    Called as ``inferer(inputs, network)``: (B, C, D, H, W) -> softmax scores (B, K, D, H, W).

    Args:
        centre: name of the centre; ``None`` (or "none") for the shared network as it is.
        centres_dir: where the centres' files lie.
        sliding: options of :class:`monai.inferers.SlidingWindowInferer`.

    Raises:
        ValueError: no such centre, or a file that does not fit the network.
    """

    def __init__(self, centre: str | None = None, centres_dir: str | PathLike[str] = "", **sliding: Any) -> None:
        super().__init__(**sliding)
        self.state = None if centre in (None, "none") else read_centre(centres_dir, str(centre))

    def __call__(  # type: ignore[override]
        self, inputs: Tensor, network: nn.Module, *args: Any, **kwargs: Any
    ) -> Tensor:
        if self.state is None:
            scores = super().__call__(inputs, network)
        else:
            own = dict(network.named_parameters())
            wrong = [
                name
                for name, tensor in self.state.items()
                if name not in own or (tensor.shape != own[name].shape and name != PROMPTS)
            ]
            if wrong:
                raise ValueError(f"the centre's tensors {wrong[:3]} do not fit the network: made for another base?")
            state = {name: tensor.to(inputs.device) for name, tensor in self.state.items()}
            scores = super().__call__(inputs, lambda window: functional_call(network, state, (window,)))
        assert isinstance(scores, Tensor)
        return torch.softmax(scores.float(), dim=1)
