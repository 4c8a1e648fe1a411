"""Transforms from file to network input, and back to the file's grid."""

from uniseg_nets.transforms.channels import RandPerChanneld
from uniseg_nets.transforms.export import LabelMapd, SaveLabelMapd
from uniseg_nets.transforms.labels import OwnLabelValuesd
from uniseg_nets.transforms.load import LoadCase, LoadCased
from uniseg_nets.transforms.mirror import RandMirrord
from uniseg_nets.transforms.patch import ForegroundVoxelsd, RandPatchd
from uniseg_nets.transforms.preprocess import PreprocessCased

__all__ = [
    "ForegroundVoxelsd",
    "LabelMapd",
    "LoadCase",
    "LoadCased",
    "OwnLabelValuesd",
    "PreprocessCased",
    "RandMirrord",
    "RandPatchd",
    "RandPerChanneld",
    "SaveLabelMapd",
]
