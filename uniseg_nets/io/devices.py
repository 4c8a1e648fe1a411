"""The device of a name, checked on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = ["device_of"]


def device_of(word: str | torch.device) -> torch.device:
    """The device of a name such as ``cpu`` or ``cuda:1``.

    Raises:
        ValueError: the machine does not have this device.
    """
    import torch

    try:
        device = torch.device(word)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        count = torch.cuda.device_count()
        there = ", ".join(["cpu", *(f"cuda:{index}" for index in range(count))])
        raise ValueError(f"device is {str(word)!r}, this machine has {there}") from error
    return device
