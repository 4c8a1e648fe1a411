"""The layout of the authors' release: its names of the layers, and its checkpoints."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

__all__ = ["official_checkpoint", "official_name", "our_name"]

# Our name <-> the official name of a layer; "{}" is a number. The first matching row is used.
_LAYERS = (
    ("task_prompts.universal", "intermedia_prompt"),
    ("task_prompts.fuse.{}", "fusion_layer.blocks.{}"),
    ("decoder.stages.{}.{}", "conv_blocks_localization.{}.{}.blocks.0"),
    ("encoder.stem.convs.{}", "conv_blocks_context.0.blocks.0.conv_{}"),
    ("encoder.stem", "conv_blocks_context.0.blocks.0"),
    ("encoder.stages.0", "conv_blocks_context.0.blocks.1"),
    ("encoder.stages.5.{}", "conv_blocks_context.5.{}.blocks.0"),
    ("encoder.stages.{}.{}", "conv_blocks_context.{}.blocks.{}"),
    ("decoder.upsamples.{}", "tu.{}"),
    ("decoder.heads.{}", "seg_outputs.{}"),
)
# Order of the layers in an official file.
_OFFICIAL_ORDER = (
    "intermedia_prompt",
    "fusion_layer",
    "conv_blocks_localization",
    "conv_blocks_context",
    "tu",
    "seg_outputs",
)


def official_name(name: str) -> str:
    """The name of a tensor in the official layout."""
    return _renamed(name, to_official=True)


def our_name(name: str) -> str:
    """The name in our layout of a tensor of an official file. Data-parallel training adds "module." in front of it."""
    return _renamed(name.removeprefix("module."), to_official=False)


def official_checkpoint(ours: Mapping[str, Tensor]) -> dict[str, Any]:
    """The content of a checkpoint of the official layout, from a state dict of ours. It has no optimiser state."""
    state = {official_name(name): tensor for name, tensor in ours.items()}
    ordered = sorted(state, key=lambda name: _OFFICIAL_ORDER.index(name.split(".")[0]))
    return {
        "epoch": 0,
        "state_dict": {name: state[name] for name in ordered},
        "optimizer_state_dict": None,
        "lr_scheduler_state_dict": None,
        "plot_stuff": ([], [], [], []),
    }


def _renamed(name: str, to_official: bool) -> str:
    for row in _LAYERS:
        source, target = row if to_official else row[::-1]
        match = re.fullmatch(re.escape(source).replace(r"\{\}", r"(\d+)") + r"(\..+)?", name)
        if match:
            *numbers, leaf = match.groups(default="")
            leaf = leaf.replace(".norm.", ".instnorm.") if to_official else leaf.replace(".instnorm.", ".norm.")
            return target.format(*numbers) + leaf
    return name
