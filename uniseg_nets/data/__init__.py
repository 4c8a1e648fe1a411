"""Cases on disk, and the order in which training sees them."""

from uniseg_nets.data.cases import find_cases, own_share
from uniseg_nets.data.datalist import load_datalist
from uniseg_nets.data.folds import fold_cases
from uniseg_nets.data.guarded import GuardedDataset
from uniseg_nets.data.preprocessed import PreprocessedDataset
from uniseg_nets.data.sampler import GroupBatchSampler, Sample, TaskBatchSampler
from uniseg_nets.data.shared import shared_sampler

__all__ = [
    "GroupBatchSampler",
    "GuardedDataset",
    "PreprocessedDataset",
    "Sample",
    "TaskBatchSampler",
    "find_cases",
    "fold_cases",
    "load_datalist",
    "own_share",
    "shared_sampler",
]
