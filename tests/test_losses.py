import math
from itertools import pairwise

import pytest
import torch
from monai.losses import DiceLoss, TverskyLoss

from uniseg_nets.losses import TaskDiceCELoss, TaskLoss


def logits_of(label, margin=20.0):
    return torch.nn.functional.one_hot(label[:, 0].long(), 4).movedim(-1, 1).float() * margin


def target(label, *ids):
    return {"label": label, "task": torch.tensor(ids)}


def test_a_perfect_prediction_costs_nothing(table):
    label = torch.randint(0, 2, (2, 1, 4, 8, 8))
    assert TaskDiceCELoss(table)(logits_of(label), target(label, 6, 6)) < 1e-3


def test_channels_that_a_task_does_not_use_count_for_nothing(table):
    label = torch.randint(0, 2, (1, 1, 4, 8, 8))
    logits = torch.randn(1, 4, 4, 8, 8, requires_grad=True)
    TaskDiceCELoss(table)(logits, target(label, 6)).backward()
    assert logits.grad[:, :2].abs().sum() > 0 and logits.grad[:, 2:].abs().sum() == 0


def test_uniform_scores_cost_what_the_formulas_say(table):
    label = torch.zeros(1, 1, 4, 8, 8)
    label[:, :, :2] = 1  # half foreground: cross entropy ln 2, soft Dice 2 * (n/4) / (n/2 + n/2)
    loss = TaskDiceCELoss(table)(torch.zeros(1, 4, 4, 8, 8), target(label, 6))
    assert loss.item() == pytest.approx(math.log(2) + 0.5, abs=1e-3)


def test_the_background_is_no_part_of_the_dice(table):
    label = torch.zeros(1, 1, 4, 8, 8)
    label[:, :, :1] = 1  # a quarter foreground: soft Dice 2 * (n/8) / (n/4 + n/2) = 1/3, that of the background 3/5
    loss = TaskDiceCELoss(table)(torch.zeros(1, 4, 4, 8, 8), target(label, 6))
    assert loss.item() == pytest.approx(math.log(2) + 2 / 3, abs=1e-3)


@pytest.mark.parametrize(("batch_dice", "dice_loss"), [(True, 2 / 3), (False, (1 / 2 + 1) / 2)])
def test_dice_is_that_of_the_whole_batch_or_of_each_sample(table, batch_dice, dice_loss):
    label = torch.zeros(2, 1, 4, 8, 8)
    label[0, :, :2] = 1  # half of the first sample's n voxels, none of the second's; all probabilities are 1/2
    loss = TaskDiceCELoss(table, batch_dice)(torch.zeros(2, 4, 4, 8, 8), target(label, 6, 6))
    assert loss.item() == pytest.approx(math.log(2) + dice_loss, abs=1e-3)


def test_a_mixed_batch_costs_the_mean_of_its_samples(table):
    label = torch.randint(0, 2, (3, 1, 4, 8, 8))
    logits, loss = torch.randn(3, 4, 4, 8, 8), TaskDiceCELoss(table)
    apart = [loss(logits[i : i + 1], target(label[i : i + 1], task)) for i, task in enumerate((6, 0, 6))]
    torch.testing.assert_close(loss(logits, target(label, 6, 0, 6)), torch.stack(apart).mean())


def test_levels_are_weighted_by_halves_and_the_coarsest_not_at_all(table):
    label = torch.zeros(1, 1, 16, 32, 32)
    label[:, :, :8] = 1
    levels = [torch.zeros(1, 4, 16 // n, 32 // n, 32 // n, requires_grad=True) for n in (1, 2, 4, 8, 16)]
    TaskDiceCELoss(table)(levels, target(label, 6)).backward()
    sizes = [float(level.grad.abs().sum()) if level.grad is not None else 0.0 for level in levels]
    assert sizes[4] == 0
    for finer, coarser in pairwise(sizes[:4]):
        assert finer == pytest.approx(2 * coarser, rel=0.05)


def test_a_patch_without_foreground_gives_a_finite_loss(table):
    loss = TaskDiceCELoss(table)(torch.randn(2, 4, 4, 8, 8), target(torch.zeros(2, 1, 4, 8, 8), 0, 0))
    assert torch.isfinite(loss)


def test_the_self_prompt_loss_asks_masks_and_patches_alike():
    from uniseg_nets.losses import SelfPromptLoss
    from uniseg_nets.nets.esp_medsam.model import ESPMedSAMOutput

    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 3, 40] = 1  # one voxel: its patch holds foreground
    right = torch.tensor([[[[-9.0, 9.0], [-9.0, -9.0]]]])
    loss = SelfPromptLoss()
    embedding = torch.zeros(1, 4, 4, 4)
    perfect = loss(ESPMedSAMOutput(mask * 40 - 20, right, embedding), mask)
    assert perfect < 0.01
    assert loss(ESPMedSAMOutput(mask * 40 - 20, -right, embedding), mask) > perfect + 4
    assert loss(ESPMedSAMOutput(20 - mask * 40, right, embedding), mask) > perfect + 0.7


def test_the_self_prompting_loss_of_outputs_in_bfloat16_is_computed_in_float32():
    from uniseg_nets.losses import SelfPromptLoss
    from uniseg_nets.nets.esp_medsam.model import ESPMedSAMOutput

    mask = (torch.rand(1, 1, 64, 64) > 0.7).float()
    logits, patches = torch.randn(1, 1, 64, 64).bfloat16(), torch.randn(1, 1, 2, 2).bfloat16()
    coarse = SelfPromptLoss()(ESPMedSAMOutput(logits, patches, torch.zeros(1)), mask)
    exact = SelfPromptLoss()(ESPMedSAMOutput(logits.float(), patches.float(), torch.zeros(1)), mask)
    assert coarse.dtype is torch.float32 and torch.equal(coarse, exact)


def test_a_loss_of_monai_sees_each_task_s_own_channels(table):
    options = {"include_background": False, "to_onehot_y": True, "softmax": True}
    label = torch.randint(0, 2, (2, 1, 4, 8, 8))
    logits = torch.randn(2, 4, 4, 8, 8)
    loss = TaskLoss(table, TverskyLoss(alpha=0.5, beta=0.5, **options))(logits, target(label, 6, 6))
    assert loss == pytest.approx(DiceLoss(**options)(logits[:, :2], label))  # Tversky's loss of these shares is Dice
