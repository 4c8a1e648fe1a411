"""The transforms of a bundle that make the verdict."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform

from uniseg_nets.io.errors import RefusedError
from uniseg_nets.quality.inferer import MeasuredInferer
from uniseg_nets.quality.judge import Judge
from uniseg_nets.quality.verdict import CHECK, OK, REFUSED, Verdict
from uniseg_nets.transforms.load import series_record
from uniseg_nets.transforms.result import VERDICT, ResultSaver

__all__ = ["CheckScand", "Judged"]

logger = logging.getLogger(__name__)

# Key of a case: verdict on the scan, as text, which loaders pass on unchanged.
_BEFORE = "verdict_before"
# Key of a case: MONAI Label adds this to its answer.
_ANSWER = "result"


class CheckScand(MapTransform):
    """Checks a loaded scan before preprocessing: refuses an impossible scan, and notes reasons to check an unusual one.

    Args:
        keys: key of the image.
        judge: gives the verdict.
        saver: writes the record of a refused case; ``None`` for no record.
        force: compute refused cases too; their verdict stays ``refused``.

    Raises:
        RefusedError: raised by a call if the scan is refused.
        ValueError: the fingerprint beside the weights is damaged.
    """

    def __init__(
        self, keys: KeysCollection, judge: Judge, saver: ResultSaver | None = None, force: bool = False
    ) -> None:
        super().__init__(keys)
        self.judge = judge
        _ = judge.fingerprint  # read before any case: a damaged one must not fail them all
        self.saver = saver
        self.force = force

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        for key in self.key_iterator(d):
            verdict = self.judge.before(d[key], d.get("task"))
            if verdict.word == REFUSED and not self.force:
                if self.saver is not None and self.saver.name_key in d:
                    source = str(d[key].meta.get("filename_or_obj", ""))
                    self.saver.refuse(d, source, {**verdict.as_record(), **series_record(d[key])})
                message = f"{REFUSED}: {' '.join(verdict.sentences)} (--force computes it all the same)"
                raise RefusedError(message, verdict.as_record())
            d[_BEFORE] = verdict.dumps()
        return d


class Judged(Transform):
    """Adds the final verdict to a case, for the saver and for a server's answer.

    Args:
        judge: gives the verdict.
        inferer: its measurements are used if the case has no ``measures``.
    """

    def __init__(self, judge: Judge, inferer: MeasuredInferer) -> None:
        self.judge = judge
        self.inferer = inferer

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        before = Verdict.loads(d[_BEFORE]) if _BEFORE in d else Verdict()
        measures = d.get("measures") or self.inferer.measures
        verdict = self.judge.after(before, measures, d.get("task"))
        if verdict.word != OK:
            level = logging.WARNING if verdict.word == CHECK else logging.ERROR
            logger.log(level, "%s: %s", d.get("name", "case"), verdict)
        d[VERDICT] = verdict
        d[_ANSWER] = {**(d.get(_ANSWER) or {}), **verdict.as_record()}
        return d
