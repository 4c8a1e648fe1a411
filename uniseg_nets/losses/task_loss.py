"""Losses over each task's own classes, with deep supervision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from monai.data import MetaTensor
from monai.losses import DeepSupervisionLoss, DiceCELoss
from torch import Tensor, nn
from torch.nn.modules.loss import _Loss

from uniseg_nets.tasks import TaskTable

__all__ = ["TaskDiceCELoss", "TaskLoss"]

# Weights of the levels, finest first (official-release constant): halved from level to level, the coarsest unused.
_LEVEL_WEIGHTS = (8 / 15, 4 / 15, 2 / 15, 1 / 15, 0.0)


class TaskLoss(nn.Module):
    """A loss of MONAI on the channels that each sample's task uses, summed over the levels of the logits.

    MONAI's losses cannot select the channels by the sample's task.

    Args:
        tasks: the task table.
        loss: loss of logits (B, K, D, H, W) and label map (B, 1, D, H, W), such as ``TverskyLoss`` with
            ``to_onehot_y`` and ``softmax``. It returns the mean over the samples.
    """

    def __init__(self, tasks: TaskTable, loss: _Loss) -> None:
        super().__init__()
        self.tasks = tasks
        self.loss = DeepSupervisionLoss(loss, weights=list(_LEVEL_WEIGHTS))

    def forward(self, logits: Tensor | Sequence[Tensor], target: Mapping[str, Tensor]) -> Tensor:
        """Mean loss over the samples.

        Args:
            logits: (B, K, D, H, W), or a list of levels, finest first.
            target: ``label`` (B, 1, D, H, W) with each task's own values, ``task`` (B,) ids.
        """
        levels = [logits] if isinstance(logits, Tensor) else list(logits)
        label = target["label"]
        label = label.as_tensor() if isinstance(label, MetaTensor) else label
        ids = target["task"].to(label.device)
        total = levels[0].new_zeros(())
        for task_id in ids.unique().tolist():
            chosen = (ids == task_id).nonzero().flatten()
            outputs = self.tasks.tasks[task_id].num_outputs
            own = [level.index_select(0, chosen)[:, :outputs].float() for level in levels]
            value = self.loss(own if len(own) > 1 else own[0], label.index_select(0, chosen))
            total = total + value * (len(chosen) / len(ids))
        return total


class TaskDiceCELoss(TaskLoss):
    """Soft Dice of the foreground plus cross entropy (Ye et al. 2023, section 3).

    Args:
        tasks: the task table.
        batch_dice: compute Dice over all samples of a batch together, as the official fine-tuning does, instead of per
            sample, as its upstream training does.
    """

    def __init__(self, tasks: TaskTable, batch_dice: bool = False) -> None:
        dice_ce = DiceCELoss(
            include_background=False, to_onehot_y=True, softmax=True, batch=batch_dice, smooth_nr=1e-5, smooth_dr=1e-5
        )
        super().__init__(tasks, dice_ce)
