"""UniSeg's U-Net without prompts. UniSeg adds prompts to it; fine-tuning can do without them.

Ye et al., MICCAI 2023, section 2.4. Shapes: B batch, C channels, F bottleneck features, P prompt channels, K output
channels, (D, H, W) size of the input in (z, y, x), (d, h, w) size of the bottleneck.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from uniseg_nets.nets.unet import Decoder, Encoder, check_size, initialise, stage_features

__all__ = ["UniSegBackbone"]


class UniSegBackbone(nn.Module):
    """Encoder and decoder, without a prompt between them.

    Inference calls the same steps as in :class:`~uniseg_nets.UniSeg`: encode, prompts, select and decode. Here
    ``prompts`` returns a tensor with 0 channels.

    Args:
        in_channels: channel counts that an input may have.
        out_channels: K, channels of the heads: background and classes.
        base_features: features of the first stage; each further stage has twice as many.
        max_features: maximum features of a stage.
        deep_supervision: return the logits of all five levels in training.
        prompt_channels: P, prompt channels that are concatenated to the bottleneck.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (1,),
        out_channels: int = 2,
        base_features: int = 32,
        max_features: int = 320,
        deep_supervision: bool = True,
        prompt_channels: int = 0,
    ):
        super().__init__()
        self.out_channels = out_channels
        self.deep_supervision = deep_supervision
        features = stage_features(base_features, max_features)
        self.encoder = Encoder(in_channels, features)
        self.decoder = Decoder(features, out_channels, prompt_channels)
        self.apply(initialise)

    def forward(self, x: Tensor, task: int | Tensor = 0) -> Tensor | list[Tensor]:
        """(B, C, D, H, W) -> logits (B, K, D, H, W); in training with deep supervision a list of five, finest first.

        Args:
            x: preprocessed image; D, H, W multiples of (16, 32, 32).
            task: one id for the whole batch, or a tensor of B ids. Without prompts it has no effect.

        Raises:
            ValueError: if the network does not take the channel count, the size or the task id.
        """
        features = self.encode(x)
        prompt = self.select(self.prompts(features), task)
        bottom = torch.cat((features[-1], prompt), dim=1)  # (B, F + P, d, h, w)
        all_levels = self.training and self.deep_supervision
        logits = self.decoder(features, bottom, all_levels)
        if all_levels:
            return logits
        return logits[0]

    @torch.jit.export
    def encode(self, x: Tensor) -> list[Tensor]:
        """(B, C, D, H, W) -> features of the six stages, finest first; the last is the bottleneck (B, F, d, h, w)."""
        if not torch.jit.is_scripting():  # TorchScript cannot read the global tuple of strides
            check_size(x.shape[2:])
        return self.encoder(x)

    @torch.jit.export
    def shared(self, features: list[Tensor]) -> list[Tensor]:
        """Features for the decoders of several tasks: unchanged. A runtime may prepare what they have in common."""
        return features

    @torch.jit.export
    def prompts(self, features: list[Tensor]) -> Tensor:
        """Features -> prompts of all tasks; here none, (B, 0, d, h, w)."""
        return features[-1][:, :0]

    @torch.jit.export
    def select(self, prompts: Tensor, task: int | Tensor) -> Tensor:
        """The prompt of each sample's task, (B, P, d, h, w)."""
        return prompts

    @torch.jit.export
    def decode(self, features: list[Tensor], prompt: Tensor) -> Tensor:
        """Features and one task's prompt (B, P, d, h, w) -> logits (B, K, D, H, W)."""
        return self.decode_fine(features, self.decode_coarse(features, prompt)[0])

    @torch.jit.export
    def decode_coarse(self, features: list[Tensor], prompt: Tensor) -> tuple[Tensor, Tensor]:
        """The first three levels: their features, and the logits (B, K, D/2, H/4, W/4) of the deep-supervision head.

        :meth:`decode_fine` does the rest, which is more than half of the decoder's work.
        """
        x = self.decoder.decode_levels(features, torch.cat((features[-1], prompt), dim=1), 0, 3)
        return x, self.decoder.heads[2](x)

    @torch.jit.export
    def decode_fine(self, features: list[Tensor], x: Tensor) -> Tensor:
        """The last two levels, from the features of :meth:`decode_coarse`: logits (B, K, D, H, W)."""
        return self.decoder.heads[4](self.decoder.decode_levels(features, x, 3, 5))
