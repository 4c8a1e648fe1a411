"""A data set that returns the error of a faulty case instead of ending the run."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from monai.data import Dataset

from uniseg_nets.data.claims import Claims
from uniseg_nets.data.itk_io import load_itk_io, needs_itk
from uniseg_nets.io.errors import RefusedError, root_cause, root_error

__all__ = ["ELSEWHERE", "ERROR", "REFUSAL", "FaultTolerantDataset"]

# Key of a failed case's message.
ERROR = "error"
# Key of a refused case's verdict, as JSON.
REFUSAL = "refusal"
# Key of a case that another process did.
ELSEWHERE = "elsewhere"


class FaultTolerantDataset(Dataset):
    """MONAI's ``Dataset``, but a case whose transforms fail becomes ``{"name": ..., "error": message}``.

    If the case was refused, it also has its verdict as ``refusal``.

    :class:`~uniseg_nets.engines.CaseEvaluator` collects these messages. If cases need ITK, it is loaded here, before
    threads read them (:func:`~uniseg_nets.data.itk_io.load_itk_io`).

    Args:
        data: cases, each with ``name`` and ``image``.
        transform: reads and preprocesses a case.
        claims: where several processes share the cases. The items are then the cases in the order in which this process
            gets them; one that another process did is ``{"name": ..., "elsewhere": True}``.
    """

    def __init__(
        self,
        data: Sequence[dict[str, Any]],
        transform: Callable[[Any], Any] | None = None,
        claims: Claims | None = None,
    ) -> None:
        super().__init__(data, transform)
        self.claims = claims
        if claims is not None:
            claims.begin(data)
        if any(needs_itk(case.get("image", [])) for case in data):
            load_itk_io()

    def _transform(self, index: int) -> Any:
        case, own = (self.data[index], True) if self.claims is None else self.claims.next()
        if not own:
            return {"name": case["name"], ELSEWHERE: True}
        try:
            return self.transform(case)
        except Exception as error:
            failed = {"name": case["name"], ERROR: root_cause(error)}
            root = root_error(error)
            return failed | {REFUSAL: json.dumps(root.record)} if isinstance(root, RefusedError) else failed
