"""Configs of bundles that were packed with version 0.6 still find what they name."""

import shutil
import sys
import warnings
from pathlib import Path
from pydoc import locate

import nibabel as nib
import numpy as np
import pytest
import torch

from uniseg_nets import Segmenter, UniSeg
from uniseg_nets.bundle.run import run_bundle
from uniseg_nets.image2d import RecogniseModalityd, SavePictured
from uniseg_nets.inferers import UniSegInferer
from uniseg_nets.renamed import renamed_arguments
from uniseg_nets.transforms import SaveLabelMapd

# What the configs of 0.6.0 name and stands elsewhere now, or has another name. Only RandForegroundCropd, which
# trainings of 0.6 name, is gone: 0.7 changed how patches are drawn.
MOVED = {
    "centres.CentreInferer": "inferers.CentreInferer",
    "centres.centre_sha256": "inferers.centre_sha256",
    "centres.load_base": "weights.load_base",
    "checkpoints.load_network": "weights.load_network",
    "data.GuardedDataset": "data.FaultTolerantDataset",
    "data.own_share": "data.rank_partition",
    "freezing.TrainedPart": "weights.TrainedPart",
    "freezing.trainable": "weights.trainable",
    "handlers.RunRecord": "handlers.RunLog",
    "nets.esp_medsam.load_teacher": "weights.load_teacher",
    "nets.esp_medsam.modalities_in": "weights.modalities_in",
    "nets.esp_medsam.start_from": "weights.start_from",
    "nets.esp_medsam.take_over": "weights.copy_from_teacher",
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
    "runtimes.settled": "runtimes.resolved_runtime",
    "transfer.fold_weights": "weights.fold_weights",
    "transfer.load_finetuned": "weights.load_finetuned",
    "transfer.load_pretrained": "weights.load_pretrained",
}


@pytest.mark.parametrize("old", MOVED)
def test_an_old_name_gives_the_same_object(old):
    assert locate(f"uniseg_nets.{old}") is locate(f"uniseg_nets.{MOVED[old]}") is not None


def test_an_old_name_warns_and_says_the_new_one():
    sys.modules.pop("uniseg_nets.transfer", None)
    with pytest.warns(FutureWarning, match=r"uniseg_nets\.transfer is uniseg_nets\.weights\.transfer now"):
        locate("uniseg_nets.transfer.load_finetuned")
    with pytest.warns(FutureWarning, match=r"esp_medsam\.take_over is uniseg_nets\.weights\.copy_from_teacher"):
        locate("uniseg_nets.nets.esp_medsam.take_over")


def test_a_bundle_that_version_0_6_packed_segments_and_says_what_is_renamed(copy, small_weights, write_scan, tmp_path):
    shutil.copyfile(Path(__file__).with_name("inference_0_6.json"), copy / "configs" / "inference.json")
    voxels = np.random.default_rng(0).random((16, 16, 8), dtype=np.float32)
    scan = write_scan("scans/a.nii.gz", voxels, np.diag([3.0, 3.0, 3.0, 1.0]))
    options = {"task": "prostate", "weights": str(small_weights), "patch_size": [32, 64, 64]}
    with pytest.warns(FutureWarning, match="uniseg_nets.checkpoints is uniseg_nets.weights.checkpoints now"):
        sys.modules.pop("uniseg_nets.checkpoints", None)
        label_map = Segmenter(copy, **options)(scan)
    assert label_map.shape == (16, 16, 8)
    with pytest.warns(FutureWarning, match="GuardedDataset is uniseg_nets.data.FaultTolerantDataset now"):
        run_bundle(copy, dataset_dir=str(scan.parent), output_dir=str(tmp_path / "out"), **options)
    assert np.array_equal(nib.load(tmp_path / "out" / "a.nii.gz").get_fdata(), label_map)


def test_a_name_that_never_was_is_not_found():
    assert locate("uniseg_nets.weights.load_everything") is None
    assert locate("uniseg_nets.nothing.at_all") is None


def test_an_argument_that_has_no_effect_any_more_is_taken_and_named_if_it_had_a_value(table):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        UniSegInferer(table, "liver", early_exit=None)
    with pytest.warns(FutureWarning, match="argument early_exit of UniSegInferer.__init__ has no effect any more"):
        UniSegInferer(table, "liver", early_exit=0.2)


def test_old_names_of_arguments_are_taken(tmp_path, table):
    with pytest.warns(FutureWarning, match="argument about of .* is metadata now"):
        saver = SaveLabelMapd("pred", tmp_path, table, "liver", about={"overlap": 0.5})
    with pytest.warns(FutureWarning, match="argument about of .* is metadata now"):
        masks = SavePictured("pred", tmp_path, about={"overlap": 0.5})
    assert saver.provenance({})["overlap"] == masks.provenance({})["overlap"] == 0.5
    with pytest.warns(FutureWarning, match="argument least of .* is min_confidence now"):
        assert RecogniseModalityd(None, least=0.3).min_confidence == 0.3
    sizes = {"num_tasks": 3, "base_features": 4, "max_features": 8, "patch_size": (32, 32, 32)}
    with pytest.warns(FutureWarning, match="argument spread_prompts of .* is distinct_prompt_init now"):
        network = UniSeg(**sizes, spread_prompts=True)
    assert torch.equal(network.task_prompts.fuse[-1].norm.bias, torch.tensor([0.0, 2.0, 4.0]))


def test_an_argument_by_both_names_is_refused():
    @renamed_arguments(old="new")
    def call(new):
        return new

    with pytest.raises(TypeError, match="got both new and old, its old name"):
        call(new=1, old=2)
