"""Label maps as arrays, and as files for other programs."""

from uniseg_nets.results.label_map import LabelMap
from uniseg_nets.results.seg_nrrd import SaveSegNrrdd

__all__ = ["LabelMap", "SaveSegNrrdd"]
