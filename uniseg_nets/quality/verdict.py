"""What is said of a case: ok, check or refused, and why, in sentences that need no knowledge of the network.

The one rule: a verdict without a reason is ok, and every reason says what was seen and what was expected.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["CHECK", "OK", "REFUSED", "WORDS", "Reason", "Verdict", "VerdictError"]

OK, CHECK, REFUSED = "ok", "check", "refused"
# From the worst to the best: the order of a list to work through.
WORDS = (REFUSED, CHECK, OK)


class VerdictError(ValueError):
    """A case is refused before any work is done; the message gives the reasons."""


@dataclass(frozen=True)
class Reason:
    """One reason to look at a case, or not to compute it.

    Attributes:
        layer: what noticed it: ``before`` (the scan), ``network`` (what it is unsure of), ``after`` (the label map) or
            ``estimate``.
        text: a sentence.
        refused: the case should not be computed at all.
    """

    layer: str
    text: str
    refused: bool = False


@dataclass(frozen=True)
class Verdict:
    """The verdict on a case.

    Attributes:
        reasons: none for ok.
        estimated_dice: how well the label map would agree with an expert's, as far as the network's behaviour tells;
            ``None`` where nothing was fitted.
        estimate_error: half the width of the interval that holds nine of ten cases.
    """

    reasons: tuple[Reason, ...] = ()
    estimated_dice: float | None = None
    estimate_error: float | None = None

    @property
    def word(self) -> str:
        """``ok``, ``check`` or ``refused``."""
        if any(reason.refused for reason in self.reasons):
            return REFUSED
        return CHECK if self.reasons else OK

    @property
    def sentences(self) -> list[str]:
        """The reasons' texts, what refuses the case first."""
        ordered = sorted(self.reasons, key=lambda reason: not reason.refused)
        return list(dict.fromkeys(reason.text for reason in ordered))

    def with_reasons(self, reasons: Iterable[Reason]) -> Verdict:
        return Verdict((*self.reasons, *reasons), self.estimated_dice, self.estimate_error)

    def as_record(self) -> dict[str, Any]:
        """What records, tables and servers say of it."""
        record: dict[str, Any] = {"verdict": self.word, "reasons": self.sentences}
        if self.estimated_dice is not None:
            record |= {"estimated_dice": round(self.estimated_dice, 3)}
            record |= {"estimate_error": None if self.estimate_error is None else round(self.estimate_error, 3)}
        return record

    def dumps(self) -> str:
        """As text, which data loaders hand on unchanged."""
        return json.dumps(asdict(self))

    @staticmethod
    def loads(text: str) -> Verdict:
        """What :meth:`dumps` wrote."""
        content: Mapping[str, Any] = json.loads(text)
        reasons = tuple(Reason(**reason) for reason in content["reasons"])
        return Verdict(reasons, content["estimated_dice"], content["estimate_error"])

    def __str__(self) -> str:
        return f"{self.word}: {' '.join(self.sentences)}" if self.reasons else self.word
