"""Handlers that MONAI and ignite do not have."""

from uniseg_nets.handlers.clip import ClipGradients
from uniseg_nets.handlers.guard import FiniteLossGuard
from uniseg_nets.handlers.progress import EpochProgress
from uniseg_nets.handlers.resume import ResumableCheckpoint, claim_folder
from uniseg_nets.handlers.run_log import RunLog
from uniseg_nets.handlers.validate import RegularValidation
from uniseg_nets.handlers.weights import WeightFiles

__all__ = [
    "ClipGradients",
    "EpochProgress",
    "FiniteLossGuard",
    "RegularValidation",
    "ResumableCheckpoint",
    "RunLog",
    "WeightFiles",
    "claim_folder",
]
