"""The verdict on a case: ok, check or refused, with reasons that need no knowledge of the network.

The one rule: a verdict without a reason is ok, and every reason says what was measured and what was expected.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from uniseg_nets.transforms.result import VERDICT

__all__ = ["CHECK", "OK", "REFUSED", "WORDS", "Reason", "Verdict"]

OK, CHECK, REFUSED = "ok", "check", "refused"
# From worst to best, the order of worklists.
WORDS = (REFUSED, CHECK, OK)


@dataclass(frozen=True)
class Reason:
    """One reason to check a case, or to refuse it.

    Attributes:
        layer: source of the reason: ``before`` (the scan), ``network`` (the network's behaviour), ``after`` (the label
            map) or ``estimate`` (the estimated Dice).
        text: a sentence.
        refused: whether the case is refused for this reason.
    """

    layer: str
    text: str
    refused: bool = False


@dataclass(frozen=True)
class Verdict:
    """The verdict on a case.

    Attributes:
        reasons: the reasons; empty for ok.
        estimated_dice: estimate of the Dice between the label map and an expert's; ``None`` without a fitted estimate.
        estimate_error: half the width of the interval that contains 90 % of the cases.
        compared_with_training: whether a fingerprint of the weights has all tasks of the case; if not, only definitions
            were checked. ``None`` if that is unknown.
    """

    reasons: tuple[Reason, ...] = ()
    estimated_dice: float | None = None
    estimate_error: float | None = None
    compared_with_training: bool | None = None

    @property
    def word(self) -> str:
        """``ok``, ``check`` or ``refused``."""
        if any(reason.refused for reason in self.reasons):
            return REFUSED
        return CHECK if self.reasons else OK

    @property
    def sentences(self) -> list[str]:
        """The texts of the reasons, those that refuse the case first."""
        ordered = sorted(self.reasons, key=lambda reason: not reason.refused)
        return list(dict.fromkeys(reason.text for reason in ordered))

    def with_reasons(self, reasons: Iterable[Reason]) -> Verdict:
        return replace(self, reasons=(*self.reasons, *reasons))

    def as_record(self) -> dict[str, Any]:
        """The fields of the verdict in records, tables and answers of servers."""
        error = None if self.estimate_error is None else round(self.estimate_error, 3)
        record: dict[str, Any] = {VERDICT: self.word, "reasons": self.sentences}
        if self.compared_with_training is not None:
            record["compared_with_training"] = self.compared_with_training
        if self.estimated_dice is not None:
            record |= {"estimated_dice": round(self.estimated_dice, 3), "estimate_error": error}
        return record

    def dumps(self) -> str:
        """The verdict as text, which data loaders pass on unchanged."""
        return json.dumps(asdict(self))

    @staticmethod
    def loads(text: str) -> Verdict:
        """The verdict of a text that :meth:`dumps` made."""
        content: Mapping[str, Any] = json.loads(text)
        return Verdict(**{**content, "reasons": tuple(Reason(**reason) for reason in content["reasons"])})

    def __str__(self) -> str:
        return f"{self.word}: {' '.join(self.sentences)}" if self.reasons else self.word
