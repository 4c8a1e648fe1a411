"""A whole CT by nnU-Net v2's predictor, with a plain U-Net of UniSeg's sizes; run by `benchmarks.bench_case --nnunet`.

    PYTHON benchmarks/nnunet/case.py SCAN OUTPUT [--mirror]

PYTHON is the interpreter of an environment with `nnunetv2`, which need not know this project. Prints a JSON list:
seconds of preprocessing, network and export, peak memory in GiB. The network's weights are random, but all that it
finds is background, so that export and file are as quick as can be.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from typing import Any

import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet
from nnunetv2.inference.export_prediction import export_prediction_from_logits
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from torch import nn

_STRIDES = [[1, 1, 1], [1, 2, 2], [2, 2, 2], [2, 2, 2], [2, 2, 2], [2, 2, 2]]
_ARCHITECTURE: dict[str, Any] = {
    "n_stages": 6,
    "features_per_stage": [32, 64, 128, 256, 320, 320],
    "kernel_sizes": [[1, 3, 3]] + [[3, 3, 3]] * 5,
    "strides": _STRIDES,
    "n_conv_per_stage": [2] * 6,
    "n_conv_per_stage_decoder": [2] * 5,
    "conv_bias": True,
}
_RESAMPLING = {"force_separate_z": None, "order_z": 0}
_PLANS = {
    "dataset_name": "Dataset001_CT",
    "plans_name": "plans",
    "original_median_spacing_after_transp": [3.0, 1.5, 1.5],
    "original_median_shape_after_transp": [100, 273, 273],
    "image_reader_writer": "SimpleITKIO",
    "transpose_forward": [0, 1, 2],
    "transpose_backward": [0, 1, 2],
    "experiment_planner_used": "none",
    "label_manager": "LabelManager",
    "foreground_intensity_properties_per_channel": {
        "0": {"mean": 90.0, "median": 90.0, "std": 50.0, "min": -1000.0, "max": 2000.0}
        | {"percentile_00_5": -325.0, "percentile_99_5": 325.0}
    },
    "configurations": {
        "3d_fullres": {
            "data_identifier": "none",
            "preprocessor_name": "DefaultPreprocessor",
            "batch_size": 2,
            "patch_size": [64, 192, 192],
            "median_image_size_in_voxels": [100.0, 273.0, 273.0],
            "spacing": [3.0, 1.5, 1.5],
            "normalization_schemes": ["CTNormalization"],
            "use_mask_for_norm": [False],
            "resampling_fn_data": "resample_data_or_seg_to_shape",
            "resampling_fn_seg": "resample_data_or_seg_to_shape",
            "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
            "resampling_fn_data_kwargs": {"is_seg": False, "order": 3, **_RESAMPLING},
            "resampling_fn_seg_kwargs": {"is_seg": True, "order": 1, **_RESAMPLING},
            "resampling_fn_probabilities_kwargs": {"is_seg": False, "order": 1, **_RESAMPLING},
            "architecture": {"network_class_name": "none", "arch_kwargs": {}, "_kw_requires_import": []},
            "batch_dice": False,
        }
    },
}
_DATASET = {
    "channel_names": {"0": "CT"},
    "labels": {"background": 0, "spleen": 1},
    "numTraining": 1,
    "file_ending": ".nii.gz",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scan")
    parser.add_argument("output")
    parser.add_argument("--mirror", action="store_true")
    options = parser.parse_args()
    network = PlainConvUNet(
        1,
        conv_op=nn.Conv3d,
        num_classes=2,
        norm_op=nn.InstanceNorm3d,
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=nn.LeakyReLU,
        nonlin_kwargs={"inplace": True},
        deep_supervision=False,
        **_ARCHITECTURE,
    ).eval()
    network.decoder.seg_layers[-1].bias.data = torch.tensor([1000.0, 0.0])
    plans = PlansManager(_PLANS)
    configuration = plans.get_configuration("3d_fullres")
    predictor = nnUNetPredictor(
        0.5,
        use_mirroring=options.mirror,
        device=torch.device("cpu"),
        perform_everything_on_device=False,
        allow_tqdm=False,
    )
    predictor.manual_initialization(
        network, plans, configuration, [network.state_dict()], _DATASET, "nnUNetTrainer", (0, 1, 2)
    )
    start = time.perf_counter()
    preprocessor = configuration.preprocessor_class(verbose=False)
    data, _, properties = preprocessor.run_case([options.scan], None, plans, configuration, _DATASET)
    loaded = time.perf_counter()
    logits = predictor.predict_logits_from_preprocessed_data(torch.as_tensor(data))
    predicted = time.perf_counter()
    export_prediction_from_logits(logits, properties, configuration, plans, _DATASET, f"{options.output}/case")
    seconds = [loaded - start, predicted - loaded, time.perf_counter() - predicted]
    print(json.dumps([*seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20]))


if __name__ == "__main__":
    main()
