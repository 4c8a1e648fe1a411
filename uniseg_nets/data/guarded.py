"""A data set that hands on what went wrong with a case instead of ending the run."""

from __future__ import annotations

from typing import Any

from monai.data import Dataset

from uniseg_nets.errors import root_cause

__all__ = ["ERROR", "GuardedDataset"]

# Key of a failed case's message.
ERROR = "error"


class GuardedDataset(Dataset):
    """MONAI's ``Dataset``, but a case whose transforms fail becomes ``{"name": ..., "error": message}``.

    :class:`~uniseg_nets.engines.CaseEvaluator` collects those messages.
    """

    def _transform(self, index: int) -> Any:
        try:
            return super()._transform(index)
        except Exception as error:
            return {"name": self.data[index]["name"], ERROR: root_cause(error)}
