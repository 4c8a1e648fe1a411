"""SAM's own image encoder as a teacher."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from monai.utils import optional_import
from torch import Tensor, nn

__all__ = ["SAMEncoder"]

SamVisionModel, _ = optional_import("transformers", name="SamVisionModel")


class SAMEncoder(nn.Module):
    """SAM's vision transformer: (B, 3, S, S) -> embeddings (B, 256, S / 16, S / 16). S is 1024 in SAM's releases.

    It replaces TinyViT in :class:`~uniseg_nets.nets.esp_medsam.ESPMedSAM`, which then is a teacher. Only the decoder
    then has parameters per modality.

    Args:
        folder: local folder of a SAM model in the format of ``transformers`` (``config.json``, ``model.safetensors``).

    Raises:
        FileNotFoundError: if there is no such folder.
        monai.utils.OptionalImportError: if ``transformers`` is not installed.
    """

    # No block takes a modality controller.
    blocks: tuple[tuple[int, int], ...] = ()

    def __init__(self, folder: str | PathLike[str]):
        super().__init__()
        if not Path(folder).is_dir():
            raise FileNotFoundError(f"no folder {folder}: download a SAM model of transformers' layout, and name it")
        self.vision: Any = SamVisionModel.from_pretrained(str(folder), local_files_only=True, use_safetensors=True)

    def forward(self, image: Tensor, controllers: Sequence[nn.Module] = ()) -> Tensor:
        embedding: Tensor = self.vision(image).last_hidden_state
        return embedding
