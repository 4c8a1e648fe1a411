"""Cases on disk, and their order in training."""

from uniseg_nets.data.cases import find_cases, rank_partition
from uniseg_nets.data.claims import Claims
from uniseg_nets.data.datalist import load_datalist, with_task
from uniseg_nets.data.fault_tolerant import FaultTolerantDataset
from uniseg_nets.data.folds import fold_cases
from uniseg_nets.data.preprocessed import PreprocessedDataset
from uniseg_nets.data.sampler import GroupBatchSampler, Sample, TaskBatchSampler
from uniseg_nets.data.shared import shared_sampler

__all__ = [
    "Claims",
    "FaultTolerantDataset",
    "GroupBatchSampler",
    "PreprocessedDataset",
    "Sample",
    "TaskBatchSampler",
    "find_cases",
    "fold_cases",
    "load_datalist",
    "rank_partition",
    "shared_sampler",
    "with_task",
]
