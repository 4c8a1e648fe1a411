"""What MONAI's and ignite's handlers lack."""

from uniseg_nets.handlers.clip import ClipGradients
from uniseg_nets.handlers.guard import FiniteLossGuard
from uniseg_nets.handlers.progress import EpochProgress
from uniseg_nets.handlers.record import RunRecord
from uniseg_nets.handlers.resume import ResumableCheckpoint, claim_folder
from uniseg_nets.handlers.validate import RegularValidation
from uniseg_nets.handlers.weights import WeightFiles

__all__ = [
    "ClipGradients",
    "EpochProgress",
    "FiniteLossGuard",
    "RegularValidation",
    "ResumableCheckpoint",
    "RunRecord",
    "WeightFiles",
    "claim_folder",
]
