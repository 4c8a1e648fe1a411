"""Configs of bundles that were packed with version 0.6 still find what they name."""

from pydoc import locate

import pytest

# All that the configs of 0.6.0's bundles name and that stands elsewhere now.
MOVED = {
    "centres.CentreInferer": "inferers.CentreInferer",
    "centres.centre_sha256": "inferers.centre_sha256",
    "centres.load_base": "weights.load_base",
    "checkpoints.load_network": "weights.load_network",
    "freezing.TrainedPart": "weights.TrainedPart",
    "freezing.trainable": "weights.trainable",
    "nets.esp_medsam.load_teacher": "weights.load_teacher",
    "nets.esp_medsam.modalities_in": "weights.modalities_in",
    "nets.esp_medsam.start_from": "weights.start_from",
    "nets.esp_medsam.take_over": "weights.take_over",
    "pictures.EmbeddingNetwork": "image2d.EmbeddingNetwork",
    "pictures.LoadMaskd": "image2d.LoadMaskd",
    "pictures.LoadPictured": "image2d.LoadPictured",
    "pictures.MaskInferer": "image2d.MaskInferer",
    "pictures.PictureReport": "image2d.PictureReport",
    "pictures.PrepareDistillation": "image2d.PrepareDistillation",
    "pictures.PrepareModalityBatch": "image2d.PrepareModalityBatch",
    "pictures.RandSimilarityd": "image2d.RandSimilarityd",
    "pictures.RecogniseModalityd": "image2d.RecogniseModalityd",
    "pictures.SavePictured": "image2d.SavePictured",
    "pictures.find_pictures": "image2d.find_pictures",
    "pictures.load_pictures": "image2d.load_pictures",
    "pictures.with_picture_runtime": "image2d.with_picture_runtime",
    "pictures.without_labels": "image2d.without_labels",
    "transfer.fold_weights": "weights.fold_weights",
    "transfer.load_finetuned": "weights.load_finetuned",
    "transfer.load_pretrained": "weights.load_pretrained",
}


@pytest.mark.parametrize("old", MOVED)
def test_an_old_name_gives_the_same_object(old):
    assert locate(f"uniseg_nets.{old}") is locate(f"uniseg_nets.{MOVED[old]}") is not None


def test_an_old_name_warns_and_says_the_new_one():
    import sys

    sys.modules.pop("uniseg_nets.transfer", None)
    with pytest.warns(DeprecationWarning, match=r"uniseg_nets\.transfer is uniseg_nets\.weights\.transfer now"):
        locate("uniseg_nets.transfer.load_finetuned")
    with pytest.warns(DeprecationWarning, match=r"esp_medsam\.take_over is uniseg_nets\.weights\.take_over now"):
        locate("uniseg_nets.nets.esp_medsam.take_over")


def test_a_name_that_never_was_is_not_found():
    assert locate("uniseg_nets.weights.load_everything") is None
    assert locate("uniseg_nets.nothing.at_all") is None
