"""The loss of ESP-MedSAM, on masks and on patches with foreground."""

from __future__ import annotations

from monai.losses import DiceLoss, FocalLoss
from torch import Tensor, nn
from torch.nn import functional as F

from uniseg_nets.nets.esp_medsam.model import ESPMedSAMOutput

__all__ = ["SelfPromptLoss"]


class SelfPromptLoss(nn.Module):
    """0.8 Dice + 0.2 focal on the mask, + 0.5 binary cross entropy on the patches against the max-pooled mask.

    The weights are those of a related paper of the same group; ESP-MedSAM's own are not published.

    Args:
        dice, focal, patches: weights of the three terms.
    """

    def __init__(self, dice: float = 0.8, focal: float = 0.2, patches: float = 0.5):
        super().__init__()
        self.weights = dice, focal, patches
        self.dice = DiceLoss(sigmoid=True)
        self.focal = FocalLoss()

    def forward(self, output: ESPMedSAMOutput, mask: Tensor) -> Tensor:
        """Mean loss over a batch.

        Args:
            output: output of :class:`~uniseg_nets.nets.esp_medsam.ESPMedSAM`.
            mask: (B, 1, S, S), 0 and 1.
        """
        # Sums over many pixels need float32.
        prediction, patch_logits, mask = output.mask.float(), output.patches.float(), mask.float()
        pooled = F.adaptive_max_pool2d(mask, patch_logits.shape[2:])
        dice, focal, patches = self.weights
        return (
            dice * self.dice(prediction, mask)
            + focal * self.focal(prediction, mask)
            + patches * F.binary_cross_entropy_with_logits(patch_logits, pooled)
        )
