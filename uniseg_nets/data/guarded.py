"""A data set that hands on what went wrong with a case instead of ending the run."""

from __future__ import annotations

from typing import Any

from monai.data import Dataset

__all__ = ["ERROR", "GuardedDataset", "root_cause"]

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


def root_cause(error: BaseException) -> str:
    """The message of the error that others were raised from; MONAI wraps every error of a transform."""
    while error.__cause__ is not None and type(error) is RuntimeError:
        error = error.__cause__
    return str(error).strip() or type(error).__name__
