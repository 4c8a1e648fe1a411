"""Losses that MONAI lacks."""

from uniseg_nets.losses.task_loss import TaskDiceCELoss

__all__ = ["TaskDiceCELoss"]
