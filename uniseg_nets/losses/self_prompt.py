"""What ESP-MedSAM learns from: masks, and the patches that hold foreground."""

from __future__ import annotations

from monai.losses import DiceLoss, FocalLoss
from torch import Tensor, nn
from torch.nn import functional as F

from uniseg_nets.nets.esp_medsam.model import ESPMedSAMOutput

__all__ = ["SelfPromptLoss"]


class SelfPromptLoss(nn.Module):
    """0.8 Dice + 0.2 focal on the mask, + 0.5 binary cross entropy on the patches against the max-pooled mask.

    The weights are those of the same group's sibling work; ESP-MedSAM's own are not published.

    Args:
        dice, focal, patches: the weights.
    """

    def __init__(self, dice: float = 0.8, focal: float = 0.2, patches: float = 0.5):
        super().__init__()
        self.weights = dice, focal, patches
        self.dice = DiceLoss(sigmoid=True)
        self.focal = FocalLoss()

    def forward(self, output: ESPMedSAMOutput, mask: Tensor) -> Tensor:
        """Mean loss over a batch.

        Args:
            output: of :class:`~uniseg_nets.nets.esp_medsam.ESPMedSAM`.
            mask: (B, 1, S, S), 0 and 1.
        """
        found, found_patches, mask = output.mask.float(), output.patches.float(), mask.float()  # sums over many pixels
        pooled = F.adaptive_max_pool2d(mask, found_patches.shape[2:])
        dice, focal, patches = self.weights
        return (
            dice * self.dice(found, mask)
            + focal * self.focal(found, mask)
            + patches * F.binary_cross_entropy_with_logits(found_patches, pooled)
        )
