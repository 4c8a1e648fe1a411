"""The shipped task tables. Spacings, modalities and class names are written here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["TABLES"]

# The official eleven (Ye et al., MICCAI 2023, table 1), in the order of their prompts.
# VerSe: the authors' planner has 4, 2, 2 mm, their prediction example 3, 1.5, 1.5 mm. The example's spacing is used: it
# is that of prediction, and with one spacing all CT tasks share an encoder pass.
_BODY = (3.0, 1.5, 1.5)
_OFFICIAL: tuple[dict[str, Any], ...] = (
    {"name": "liver", "channels": ["CT"], "spacing": _BODY, "classes": ["liver", "liver_tumour"]},
    {"name": "kidney", "channels": ["CT"], "spacing": _BODY, "classes": ["kidney", "kidney_tumour"]},
    {
        "name": "hepatic_vessel",
        "channels": ["CT"],
        "spacing": _BODY,
        "classes": ["hepatic_vessel", "hepatic_vessel_tumour"],
    },
    {"name": "pancreas", "channels": ["CT"], "spacing": _BODY, "classes": ["pancreas", "pancreas_tumour"]},
    {"name": "colon", "channels": ["CT"], "spacing": _BODY, "classes": ["colon_tumour"]},
    {"name": "lung", "channels": ["CT"], "spacing": _BODY, "classes": ["lung_tumour"]},
    {"name": "spleen", "channels": ["CT"], "spacing": _BODY, "classes": ["spleen"]},
    {"name": "vertebrae", "channels": ["CT"], "spacing": _BODY, "classes": ["vertebrae"]},
    {"name": "prostate", "channels": ["T2"], "spacing": _BODY, "classes": ["prostate"]},
    {
        "name": "brain_tumour",
        "channels": ["T1", "T1ce", "T2", "FLAIR"],
        "spacing": (1.0, 1.0, 1.0),
        "classes": ["brain_oedema", "brain_non_enhancing_tumour", "brain_enhancing_tumour"],
        "mask": "training",
    },
    {
        "name": "whole_body_tumour",
        "channels": ["CT", "PET"],
        "spacing": (8.0, 4.0, 4.0),
        "classes": ["whole_body_tumour"],
    },
)
# Five tasks with openly licensed training data. The left ventricle is imaged in stacks of thick short-axis slices.
_OPEN: tuple[dict[str, Any], ...] = (
    {
        "name": "hippocampus",
        "channels": ["T1"],
        "spacing": (1.0, 1.0, 1.0),
        "classes": ["anterior_hippocampus", "posterior_hippocampus"],
    },
    {
        "name": "left_atrium",
        "channels": ["MR"],
        "spacing": (2.0, 2.0, 2.0),
        "classes": ["left_atrium"],
        "max_pieces": {"left_atrium": 1},
    },
    {
        "name": "left_ventricle",
        "channels": ["CINE"],
        "spacing": (8.0, 1.6, 1.6),
        "classes": ["left_ventricle"],
        "axes": "acquisition",
    },
    {
        "name": "head_neck",
        "channels": ["CT"],
        "spacing": (3.0, 4.0, 4.0),
        "classes": ["brainstem", "spinal_cord", "parotid_glands", "mandible"],
        "max_pieces": {"brainstem": 1, "spinal_cord": 1, "mandible": 1},
    },
    {
        "name": "sarcoma",
        "channels": ["CT", "PET"],
        "spacing": (3.3, 2.0, 2.0),
        "classes": ["sarcoma"],
        "max_pieces": {"sarcoma": 1},
    },
)
TABLES: Mapping[str, tuple[dict[str, Any], ...]] = {"uniseg": _OFFICIAL, "open": _OPEN}
