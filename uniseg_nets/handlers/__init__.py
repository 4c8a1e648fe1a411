"""What MONAI's and ignite's handlers lack."""

from uniseg_nets.handlers.clip import ClipGradients
from uniseg_nets.handlers.guard import FiniteLossGuard
from uniseg_nets.handlers.record import RunRecord
from uniseg_nets.handlers.resume import ResumableCheckpoint

__all__ = ["ClipGradients", "FiniteLossGuard", "ResumableCheckpoint", "RunRecord"]
