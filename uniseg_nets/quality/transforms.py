"""The verdict's steps in a bundle's chain of transforms."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform

from uniseg_nets.quality.inferer import MeasuredInferer
from uniseg_nets.quality.judge import Judge
from uniseg_nets.quality.verdict import CHECK, REFUSED, Verdict, VerdictError
from uniseg_nets.transforms.result import ResultSaver

__all__ = ["CheckScand", "Judged"]

logger = logging.getLogger(__name__)

# What the scan itself says, as text, since loaders hand on texts unchanged; and the verdict at the end.
BEFORE, PROPERTIES, VERDICT = "verdict_before", "scan_properties", "verdict"
# What MONAI Label puts beside the label map in its answer.
_ANSWER = "result"


class CheckScand(MapTransform):
    """Looks at a loaded scan before any work is done; refuses what cannot be right, and notes what is odd.

    Args:
        keys: the image's key.
        judge: what says so.
        saver: writes a record of a refused case; ``None`` for none.
        force: compute a refused case all the same; its verdict stays.

    Raises:
        VerdictError: from a call, the scan is refused.
    """

    def __init__(
        self, keys: KeysCollection, judge: Judge, saver: ResultSaver | None = None, force: bool = False
    ) -> None:
        super().__init__(keys)
        self.judge = judge
        self.saver = saver
        self.force = force

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        for key in self.key_iterator(d):
            verdict, properties = self.judge.before(d[key], d.get("task"))
            if verdict.word == REFUSED and not self.force:
                if self.saver is not None and self.saver.name_key in d:
                    self.saver.refuse(d, str(d[key].meta.get("filename_or_obj", "")), verdict.as_record())
                raise VerdictError(f"refused: {' '.join(verdict.sentences)} (--force computes it all the same)")
            d |= {BEFORE: verdict.dumps(), PROPERTIES: properties}
        return d


class Judged(Transform):
    """Puts the verdict beside the label map: before it is saved, and in a server's answer.

    Args:
        judge: what says so.
        inferer: what computed the scores; asked where a case does not bring its ``measures``.
    """

    def __init__(self, judge: Judge, inferer: MeasuredInferer) -> None:
        self.judge = judge
        self.inferer = inferer

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        before = Verdict.loads(d[BEFORE]) if BEFORE in d else Verdict()
        measures = d.get("measures") or self.inferer.measures
        verdict = self.judge.after(before, d.get(PROPERTIES, ""), measures, d.get("task"))
        if verdict.word != "ok":
            level = logging.WARNING if verdict.word == CHECK else logging.ERROR
            logger.log(level, "%s: %s", d.get("name", "case"), verdict)
        d[VERDICT] = verdict
        d[_ANSWER] = {**(d.get(_ANSWER) or {}), **verdict.as_record()}
        return d
