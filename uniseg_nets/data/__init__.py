"""Cases on disk, and the order in which training sees them."""

from uniseg_nets.data.datalist import load_datalist
from uniseg_nets.data.sampler import TaskBatchSampler

__all__ = ["TaskBatchSampler", "load_datalist"]
