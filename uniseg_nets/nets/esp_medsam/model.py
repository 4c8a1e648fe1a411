"""ESP-MedSAM: encoder with modality controllers, SPPG, QDMD, and a recogniser of the modality.

There are two layouts, which differ in the decoder. The paper's has one query, one decoding channel and one mask MLP per
modality. In the release's (xq141839/ESP-MedSAM) all queries attend to each other and share one MLP.

Xu et al., "ESP-MedSAM: Efficient Self-Prompting SAM for Universal Domain-Generalized Medical Image Segmentation",
arXiv 2407.14153. Shapes: B batch, S side of the image.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, cast

from torch import Tensor, nn
from torch.nn import functional as F

from uniseg_nets.nets.esp_medsam.controller import ModalityController
from uniseg_nets.nets.esp_medsam.decoder import ModalityDecoder
from uniseg_nets.nets.esp_medsam.modalities import MODALITIES
from uniseg_nets.nets.esp_medsam.prompt import PatchPromptGenerator
from uniseg_nets.nets.esp_medsam.recogniser import ModalityRecogniser
from uniseg_nets.nets.esp_medsam.release_decoder import ReleaseDecoder
from uniseg_nets.nets.esp_medsam.tiny_vit import TinyViT

__all__ = ["LAYOUTS", "ESPMedSAM", "ESPMedSAMSizes"]

# Names of modalities are parts of the names of tensors.
_NAME = re.compile(r"[\w -]+")

_DECODERS: dict[str, type[ModalityDecoder] | type[ReleaseDecoder]] = {
    "paper": ModalityDecoder,
    "release": ReleaseDecoder,
}
LAYOUTS = tuple(_DECODERS)


@dataclass(frozen=True)
class ESPMedSAMSizes:
    """The sizes of a network; by default the full size, for images of 1024 x 1024 pixels.

    Attributes:
        channels, depths, heads, windows: sizes of the encoder's four stages.
        embedding: channels of the embedding.
        decoder_heads, decoder_mlp, decoder_depth: sizes of the two-way transformer.
    """

    channels: Sequence[int] = (64, 128, 160, 320)
    depths: Sequence[int] = (2, 2, 6, 2)
    heads: Sequence[int] = (2, 4, 5, 10)
    windows: Sequence[int] = (7, 7, 14, 7)
    embedding: int = 256
    decoder_heads: int = 8
    decoder_mlp: int = 2048
    decoder_depth: int = 2

    def __post_init__(self) -> None:
        for name in ("channels", "depths", "heads", "windows"):
            if len(getattr(self, name)) != 4:
                raise ValueError(f"{name} is {getattr(self, name)}, expected one number for each of four stages")


@dataclass
class ESPMedSAMOutput:
    """The output of a forward pass.

    Attributes:
        mask: logits (B, 1, S, S).
        patches: logits (B, 1, S / 32, S / 32) for patches with foreground.
        embedding: (B, C, S / 16, S / 16), which distillation compares.
    """

    mask: Tensor
    patches: Tensor
    embedding: Tensor


class ESPMedSAM(nn.Module):
    """Segments 2D images; the network generates its prompt itself.

    It has 28,881,521 parameters with the six modalities at full size in the paper's layout, 28,182,737 in the
    release's.

    Args:
        modalities: names of the modalities.
        sizes: keyword arguments of :class:`ESPMedSAMSizes`.
        encoder: another image encoder instead of TinyViT, such as a teacher's
            :class:`~uniseg_nets.nets.esp_medsam.sam.SAMEncoder`.
        layout: "paper" or "release", see this module.
        kinds: largest number of kinds of images per modality that the recogniser tells apart.

    Raises:
        ValueError: if there is no modality, the layout is unknown or does not fit a modality. From ``forward``, if
            the network does not have the modality (the message names those it has), or the image's sides are not
            multiples of 32.
    """

    def __init__(
        self,
        modalities: Sequence[str] = MODALITIES,
        sizes: dict[str, Any] | None = None,
        encoder: nn.Module | None = None,
        layout: str = "paper",
        kinds: int = 1,
    ):
        super().__init__()
        if not modalities:
            raise ValueError("no modality: name one at least")
        if layout not in LAYOUTS:
            raise ValueError(f"layout {layout!r}: expected {' or '.join(LAYOUTS)}")
        self.sizes = ESPMedSAMSizes(**(sizes or {}))
        self.layout = layout
        s = self.sizes
        self.image_encoder = encoder or TinyViT(s.channels, s.depths, s.heads, s.windows, s.embedding)
        self.controllers = nn.ModuleDict()
        self.prompt_generator = PatchPromptGenerator(s.embedding)
        sizes_of_decoder = s.embedding, s.decoder_heads, s.decoder_mlp, s.decoder_depth
        self.decoder = _DECODERS[layout](*sizes_of_decoder)
        self.recogniser = ModalityRecogniser(kinds)
        for modality in modalities:
            self.add_modality(modality)

    @property
    def modalities(self) -> list[str]:
        """The names of the modalities, in the order in which they were added."""
        return list(self.controllers)

    def add_modality(self, modality: str) -> None:
        """Adds a controller and a decoding channel for one more modality. Nothing else changes.

        Raises:
            ValueError: if tensors cannot have the name, the network has the modality already, or the layout has no
                channel for it.
        """
        if not _NAME.fullmatch(modality) or hasattr(nn.ModuleDict(), modality):
            raise ValueError(
                f"modality {modality[:80]!r}: expected a name of letters, digits, _, - and spaces, none that PyTorch "
                "uses itself"
            )
        if modality in self.controllers:
            raise ValueError(f"modality {modality!r} is there already: {', '.join(self.modalities)}")
        self.decoder.add(modality)
        self.controllers[modality] = ModalityController(cast(Any, self.image_encoder).blocks)
        self.recogniser.add(modality)

    def known(self, modality: str) -> str:
        """Returns the name of a known modality.

        Raises:
            ValueError: if the network has no such modality.
        """
        if modality not in self.controllers:
            raise ValueError(f"no modality {str(modality)[:80]!r}: the network has {', '.join(self.modalities)}")
        return modality

    def encode(self, image: Tensor, modality: str | Sequence[str] | None) -> Tensor:
        """(B, 3, S, S), normalised -> embedding (B, C, S / 16, S / 16).

        Args:
            image: the images.
            modality: modality of all images, or one per image; ``None`` for the embedding without controllers.
        """
        if image.shape[2] % 32 or image.shape[3] % 32:
            raise ValueError(
                f"image of {tuple(image.shape[2:])} pixels: sides must be multiples of 32, pad or resize it"
            )
        names = [] if modality is None else self._each(image, modality)
        embedding: Tensor = self.image_encoder(image, [self.controllers[name] for name in names])
        return embedding

    def segment(self, image: Tensor, modality: str | Sequence[str]) -> ESPMedSAMOutput:
        """Images (B, 3, S, S), normalised, and their modality or modalities -> masks, patches and embedding."""
        embedding = self.encode(image, modality)
        patches, prompt = self.prompt_generator(embedding)
        mask = self.decoder(embedding + prompt, self._each(image, modality))
        mask = F.interpolate(mask, size=image.shape[2:], mode="bilinear", align_corners=False)
        return ESPMedSAMOutput(mask, patches, embedding)

    def forward(self, image: Tensor, modality: str | Sequence[str] | None = None) -> ESPMedSAMOutput | Tensor:
        """Like :meth:`segment`; in evaluation mode the mask logits alone. The first modality is the default."""
        output = self.segment(image, self.modalities[0] if modality is None else modality)
        return output if self.training else output.mask

    def _each(self, image: Tensor, modality: str | Sequence[str]) -> list[str]:
        """One name for all images, or one per image."""
        names = [modality] if isinstance(modality, str) else list(modality)
        if len(set(names)) == 1:
            names = names[:1]
        if len(names) not in (1, image.shape[0]):
            raise ValueError(f"{len(names)} modalities for {image.shape[0]} images: expected one, or one each")
        return [self.known(name) for name in names]

    def train(self, mode: bool = True) -> Self:
        """Sets training mode. Batch normalisations with frozen parameters keep their statistics."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d) and not module.weight.requires_grad:
                module.eval()
        return self
