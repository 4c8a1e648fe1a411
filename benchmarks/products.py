"""A matrix product per precision, whose speed is the floor of what a network of that precision can reach."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

__all__ = ["SIDE", "product"]

SIDE = 4096
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def product(precision: str, side: int = SIDE) -> Callable[[], Tensor]:
    """A product of two square matrices, ready to be timed.

    Args:
        precision: ``fp32``, ``bf16`` or ``int8``. In 8 bits unsigned values meet signed ones of 7 bits, as in the
            networks of NNCF, by oneDNN; other 8-bit products of PyTorch have no fast code on all processors.
        side: rows and columns of both.
    """
    if precision in _DTYPES:
        square = torch.randn(side, side, dtype=_DTYPES[precision])
        return lambda: square @ square
    values = torch.randint(0, 127, (side, side), dtype=torch.uint8)
    weights = torch.randint(-63, 64, (side, side), dtype=torch.int8)
    packed = torch.ops.onednn.qlinear_prepack(weights, [side, side])
    scales, zeros = torch.ones(side), torch.zeros(side, dtype=torch.int64)
    output: tuple[Any, ...] = (
        None,
        1.0,
        0,
        torch.float32,
        "none",
        [],
        "",
    )  # no bias; scale, zero point and type; nothing after it
    return lambda: torch.ops.onednn.qlinear_pointwise(values, 1.0, 0, packed, scales, zeros, *output)
