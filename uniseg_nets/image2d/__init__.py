"""2D images: files, modalities, and batches for MONAI's engines."""

from uniseg_nets.image2d.cases import find_pictures, load_pictures, without_labels
from uniseg_nets.image2d.engine import EmbeddingNetwork, MaskInferer, PrepareDistillation, PrepareModalityBatch
from uniseg_nets.image2d.load import LoadMaskd, LoadPictured
from uniseg_nets.image2d.recognise import RecogniseModalityd
from uniseg_nets.image2d.report import PictureReport
from uniseg_nets.image2d.runtime import with_picture_runtime
from uniseg_nets.image2d.save import SavePictured
from uniseg_nets.image2d.similarity import RandSimilarityd

__all__ = [
    "EmbeddingNetwork",
    "LoadMaskd",
    "LoadPictured",
    "MaskInferer",
    "PictureReport",
    "PrepareDistillation",
    "PrepareModalityBatch",
    "RandSimilarityd",
    "RecogniseModalityd",
    "SavePictured",
    "find_pictures",
    "load_pictures",
    "with_picture_runtime",
    "without_labels",
]
