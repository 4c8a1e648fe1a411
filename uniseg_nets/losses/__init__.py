"""Losses that MONAI does not have."""

from uniseg_nets.losses.self_prompt import SelfPromptLoss
from uniseg_nets.losses.task_loss import TaskDiceCELoss, TaskLoss

__all__ = ["SelfPromptLoss", "TaskDiceCELoss", "TaskLoss"]
