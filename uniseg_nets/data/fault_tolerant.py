"""A data set that returns the error of a faulty case instead of ending the run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from monai.data import Dataset

from uniseg_nets.data.itk_io import load_itk_io, needs_itk
from uniseg_nets.io.errors import root_cause

__all__ = ["ERROR", "FaultTolerantDataset"]

# Key of a failed case's message.
ERROR = "error"


class FaultTolerantDataset(Dataset):
    """MONAI's ``Dataset``, but a case whose transforms fail becomes ``{"name": ..., "error": message}``.

    :class:`~uniseg_nets.engines.CaseEvaluator` collects these messages. If cases need ITK, it is loaded here, before
    threads read them (:func:`~uniseg_nets.data.itk_io.load_itk_io`).

    Args:
        data: cases, each with ``name`` and ``image``.
        transform: reads and preprocesses a case.
    """

    def __init__(self, data: Sequence[dict[str, Any]], transform: Callable[[Any], Any] | None = None) -> None:
        super().__init__(data, transform)
        if any(needs_itk(case.get("image", [])) for case in data):
            load_itk_io()

    def _transform(self, index: int) -> Any:
        try:
            return super()._transform(index)
        except Exception as error:
            return {"name": self.data[index]["name"], ERROR: root_cause(error)}
