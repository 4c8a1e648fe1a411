"""The bundle command against the official pipeline's own label maps: the project's promise."""

import json

import nibabel as nib
import numpy as np
import pytest

from benchmarks.parity import compare, run_case

FAST = {"petct"}
NAMES = ["ct_sm_liver", "ct_sm_kidney", "ct_sm_spleen", "ct_aniso_liver", "petct", "ct_sm_all"]


@pytest.mark.parametrize(
    "name", [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]
)
def test_label_maps_equal_the_official_ones(test_data, tmp_path, name):
    folder = test_data / "parity"
    (case,) = (case for case in json.loads((folder / "cases.json").read_text()) if case["name"] == name)
    values = "global" if case["task"] == "all_ct" else "task"
    images = [folder / image for image in case["channels"]]
    run_case(folder, images, case["task"], tmp_path / "out", values)
    official = nib.load(folder / case["golden"])
    ours = nib.load(tmp_path / "out" / "case.nii.gz")
    assert ours.shape == official.shape
    equal, dice = compare(np.asarray(ours.dataobj), np.asarray(official.dataobj))
    assert equal >= 0.999
    assert dice or name == "petct"
    assert all(score >= 0.99 for score in dice.values()), dice


def test_the_softmax_of_a_window_sum_equals_the_official_one(test_data, table):
    import torch

    from uniseg_nets import UniSeg
    from uniseg_nets.inferers.sliding_window import UniSegInferer
    from uniseg_nets.transforms import LoadCased, PreprocessCased
    from uniseg_nets.weights.checkpoints import load_network

    paths = [test_data / "data" / "sarcoma_petct" / "imagesTr" / f"sts_006_000{i}.nii.gz" for i in (0, 1)]
    image = PreprocessCased("image", table, "whole_body_tumour")(LoadCased("image")({"image": paths}))["image"]
    network = load_network(UniSeg(), test_data / "parity" / "official_tiny.pth").eval()
    scores = UniSegInferer(table, "whole_body_tumour", mirror=True)(image[None], network)[0]
    official = np.load(test_data / "parity" / "petct_sts_006_task10_softmax.npz")["softmax"].astype(np.float32)
    # That scan is stored LPS; ours runs to the canonical direction.
    difference = (scores.flip((-2, -1)) - torch.from_numpy(official)).abs()
    assert difference.max() < 5e-3
