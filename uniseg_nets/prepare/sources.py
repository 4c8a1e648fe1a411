"""The layouts of public NIfTI data sets, one table row each.

The one rule: file names, patient names and label values of these data sets are defined here and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["SAME_SCANS", "SOURCES", "Source"]

_ANY = r"(?P<dir>(?:.*/)?)"  # any folders above


@dataclass(frozen=True)
class Source:
    """How to find and read the cases of one data set.

    Attributes:
        task: task of the labels; ``None`` for data of fine-tuning, whose task the user names.
        label: regular expression for the path of a label file, relative to the data set's root, without its ending. Its
            groups identify the case.
        images: image of each channel, as a format string of those groups, without endings.
        name: name of the case, as a format string of those groups.
        values: label value in the file -> the task's own value. Other values are faults, but stay if the mapping is
            empty; ``None`` maps all foreground to 1.
        drop_empty: leave out cases without foreground, as the paper did.
        group: patient, as a format string of those groups, if a patient may have several cases; ``None`` if each case
            is of another patient, or the data set does not tell the patient.
        archive: name of MONAI's download, which is a folder's name.
    """

    task: str | None
    label: str
    images: tuple[str, ...]
    name: str = "{id}"
    values: Mapping[int, int] | None = None
    drop_empty: bool = False
    group: str | None = None
    archive: str | None = None

    @property
    def expected(self) -> str:
        """The expected files, for a message."""
        path = re.sub(r"\(\?P<(\w+)>[^()]*\)", lambda part: part[1].upper(), self.label.replace(_ANY, ""))
        return f"label files like {path}.nii.gz"


def _decathlon(task: str, archive: str) -> Source:
    return Source(task, _ANY + r"labelsTr/(?P<id>[^/]+)", ("{dir}imagesTr/{id}",), values={}, archive=archive)


SOURCES: Mapping[str, Source] = {
    "lits": Source("liver", _ANY + r"segmentation-(?P<id>\d+)", ("{dir}volume-{id}",), "liver_{id}", {}),
    "kits": Source("kidney", _ANY + r"case_(?P<id>\d+)/segmentation", ("{dir}case_{id}/imaging",), "kidney_{id}", {}),
    "msd02": _decathlon("left_atrium", "Task02_Heart"),
    "msd03": _decathlon("liver", "Task03_Liver"),
    # Left and right hippocampus of a person are separate cases, and nothing shows which belong together: a split by
    # case may separate them.
    "msd04": _decathlon("hippocampus", "Task04_Hippocampus"),
    "msd06": _decathlon("lung", "Task06_Lung"),
    "msd07": _decathlon("pancreas", "Task07_Pancreas"),
    "msd08": _decathlon("hepatic_vessel", "Task08_HepaticVessel"),
    "msd09": _decathlon("spleen", "Task09_Spleen"),
    "msd10": _decathlon("colon", "Task10_Colon"),
    "verse20": Source(
        "vertebrae",
        _ANY + r"derivatives/(?P<patient>[^/]+)/(?P<id>[^/]+)_seg-vert_msk",
        ("{dir}rawdata/{patient}/{id}_ct",),
        group="{patient}",
    ),
    "prostate": Source(
        "prostate", _ANY + r"(?P<site>[^/]+)/(?P<id>Case\d+)_[Ss]egmentation", ("{dir}{site}/{id}",), "{site}_{id}"
    ),
    "brats21": Source(
        "brain_tumour",
        _ANY + r"(?P<id>BraTS2021_\d+)_seg",
        ("{dir}{id}_t1", "{dir}{id}_t1ce", "{dir}{id}_t2", "{dir}{id}_flair"),
        values={2: 1, 1: 2, 4: 3},
    ),
    "autopet22": Source(
        "whole_body_tumour",
        _ANY + r"(?P<patient>PETCT_[^/]+)/(?P<study>[^/]+)/SEG",
        ("{dir}{patient}/{study}/CTres", "{dir}{patient}/{study}/SUV"),
        "{patient}_{study}",
        drop_empty=True,
        group="{patient}",
    ),
    "btcv": Source(None, _ANY + r"label/label(?P<id>\d+)", ("{dir}img/img{id}",), "btcv_{id}", {}),
    "vs": Source(None, _ANY + r"(?P<id>vs_gk_\d+)/vs_gk_seg_refT1", ("{dir}{id}/vs_gk_t1_refT1",)),
}
# Data sets with the same scans under other names: Task03 of the Decathlon is LiTS.
SAME_SCANS: tuple[frozenset[str], ...] = (frozenset({"lits", "msd03"}),)
