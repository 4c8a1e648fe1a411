"""Inference by a shared network that centres adapt with small files.

The one rule: the shared network is never changed. A centre's tensors replace its own only during a call.
"""

from __future__ import annotations

import re
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from monai.inferers import SlidingWindowInferer
from torch import Tensor, nn
from torch.func import functional_call

from uniseg_nets.io.files import sha256_of
from uniseg_nets.nets.prompt_unetr import PROMPTS
from uniseg_nets.weights.checkpoints import read_state
from uniseg_nets.weights.freezing import base_digest, base_of

__all__ = ["CentreInferer", "centre_sha256", "checked_centre", "read_centre"]

_NAME = re.compile(r"[\w-]+")


def read_centre(folder: str | PathLike[str], centre: str) -> dict[str, Tensor]:
    """The tensors of a centre, from ``FOLDER/CENTRE.pt``.

    Raises:
        ValueError: if the name is not a single word or there is no such centre; the message names the known ones.
    """
    return read_state(_centre_file(folder, centre))[0]


def checked_centre(centre: Any) -> str:
    """The name of a centre to train, as text.

    Raises:
        ValueError: if the name is not a single word, or is "none", which stands for no centre.
    """
    if not _NAME.fullmatch(str(centre)) or str(centre) == "none":
        raise ValueError(
            f"centre {str(centre)[:80]!r}: expected one word of letters, digits, _ and -, other than none, since it "
            "becomes the name of a file"
        )
    return str(centre)


def _centre_file(folder: str | PathLike[str], centre: str) -> Path:
    folder = Path(folder)
    known = sorted(path.stem for path in folder.glob("*.pt"))
    if not _NAME.fullmatch(centre) or centre not in known:
        raise ValueError(f"no centre {centre[:80]!r} in {folder}: there are {', '.join(known) or 'none'}")
    return folder / f"{centre}.pt"


def centre_sha256(centre: str | None, folder: str | PathLike[str]) -> str | None:
    """The SHA-256 of a centre's file, for the record of a result; ``None`` for no centre (``None`` or "none").

    Raises:
        ValueError: if there is no such centre.
    """
    return None if centre in (None, "none") else sha256_of(_centre_file(folder, str(centre)))


class CentreInferer(SlidingWindowInferer):
    """MONAI's sliding window, with a centre's tensors in place of those of the shared network.

    Called as ``inferer(inputs, network)``: (B, C, D, H, W) -> softmax scores (B, K, D, H, W).

    Args:
        centre: name of the centre; ``None`` or "none" for the shared network itself.
        centres_dir: folder of the centres' files.
        sliding: arguments of :class:`monai.inferers.SlidingWindowInferer`.

    Raises:
        ValueError: if there is no such centre; from a call, if its file does not fit the network, or was made for
            another one. Files without ``CENTRE.pt.base`` beside them do not say for which.
    """

    def __init__(self, centre: str | None = None, centres_dir: str | PathLike[str] = "", **sliding: Any) -> None:
        super().__init__(**sliding)
        self.state = None if centre in (None, "none") else read_centre(centres_dir, str(centre))
        self._base = None if self.state is None else base_of(_centre_file(centres_dir, str(centre)))

    def __call__(  # type: ignore[override]
        self, inputs: Tensor, network: nn.Module, *args: Any, **kwargs: Any
    ) -> Tensor:
        if self.state is None:
            scores = super().__call__(inputs, network)
        else:
            own = dict(network.named_parameters())
            wrong = [name for name, tensor in self.state.items() if not _fits(name, tensor, own.get(name))]
            if wrong:
                raise ValueError(f"the centre's tensors {wrong[:3]} do not fit the network: made for another base?")
            self._check_base(network)
            state = {name: tensor.to(inputs.device) for name, tensor in self.state.items()}
            scores = super().__call__(inputs, lambda window: functional_call(network, state, (window,)))
        assert isinstance(scores, Tensor)
        return torch.softmax(scores.float(), dim=1)

    def _check_base(self, network: nn.Module) -> None:
        """Compares the network with that of the centre's training, until it was found to be the same."""
        if self._base is None:
            return
        digest = base_digest(network, {*(self.state or {}), PROMPTS})
        if digest != self._base:
            raise ValueError(
                "the centre's file was made for another shared network, on which its tensors mean nothing: take the "
                "weights that it was trained with, or train the centre again"
            )
        self._base = None


def _fits(name: str, tensor: Tensor, own: Tensor | None) -> bool:
    """Whether a centre's tensor can replace the network's own; the number of prompts and of their sets may differ."""
    if own is None:
        return False
    return tensor.shape == own.shape or (name == PROMPTS and tensor.shape[-1] == own.shape[-1])
