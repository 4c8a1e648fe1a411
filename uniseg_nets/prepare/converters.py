"""The data sets that are not NIfTI, one table row each: their task and their reader."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from uniseg_nets.prepare.openkbp import find_openkbp
from uniseg_nets.prepare.raw import RawCase
from uniseg_nets.prepare.sts import find_sts
from uniseg_nets.prepare.sunnybrook import find_sunnybrook

__all__ = ["CONVERTERS", "Converter"]


@dataclass(frozen=True)
class Converter:
    """How to read the cases of one data set.

    Attributes:
        task: task of the labels.
        find: function from the root folder to the cases.
        expected: expected files, for a message.
        values, drop_empty, archive: as for a :class:`~uniseg_nets.prepare.sources.Source`. Converted label maps have
            the task's values.
    """

    task: str
    find: Callable[[Path], list[RawCase]]
    expected: str
    values: Mapping[int, int] = field(default_factory=dict)
    drop_empty: bool = False
    archive: str | None = None


CONVERTERS: Mapping[str, Converter] = {
    "sunnybrook": Converter("left_ventricle", find_sunnybrook, "SC-HF-I-01/contours-manual and SCD0000101"),
    "openkbp": Converter("head_neck", find_openkbp, "pt_1/ct.csv"),
    "sts": Converter("sarcoma", find_sts, "STS_001/STUDY/SERIES/*.dcm with a series RTstructCT"),
}
