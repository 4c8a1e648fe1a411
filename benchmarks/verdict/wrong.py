"""Wrong inputs made from right ones, none of them used to fit anything."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from monai.data import MetaTensor
from monai.utils.enums import MetaKeys
from nibabel.orientations import io_orientation

from uniseg_nets.phantom import make_phantom
from uniseg_nets.tasks import Task, load_task_table

__all__ = ["WRONG", "spoilt"]

Loaded = dict[str, MetaTensor]
_UP = 2  # the third of RAS
# A task of the official table whose synthetic patient has the same channels.
_PHANTOMS = {("CT",): "liver", ("CT", "PET"): "whole_body_tumour"}


def spoilt(loaded: Loaded, task: Task, kind: str, seed: int) -> Loaded | None:
    """A loaded case with one fault; ``None`` where the fault cannot be (an MR has no Hounsfield scale).

    Args:
        loaded: ``image`` (C, x, y, z) and ``label`` (1, x, y, z).
        task: the scan's own.
        kind: one of :data:`WRONG`.
        seed: of what is drawn.
    """
    return WRONG[kind](loaded, task, seed)


def _with(loaded: Loaded, image: torch.Tensor, label: torch.Tensor | None = None) -> Loaded:
    made = {"image": MetaTensor(image, meta=dict(loaded["image"].meta))}
    made["image"].meta[MetaKeys.SPATIAL_SHAPE] = np.asarray(image.shape[1:])
    if label is not None:
        made["label"] = MetaTensor(label, meta=dict(loaded["label"].meta))
        made["label"].meta[MetaKeys.SPATIAL_SHAPE] = np.asarray(label.shape[1:])
    return made


def _scale_lost(loaded: Loaded, task: Task, seed: int) -> Loaded | None:
    """Stored values instead of Hounsfield units."""
    if "CT" not in task.channels:
        return None
    image = loaded["image"].as_tensor().clone()
    channel = task.channels.index("CT")
    image[channel] = (image[channel] + 1024).clamp(min=0)
    return _with(loaded, image, loaded["label"].as_tensor())


def _bytes(loaded: Loaded, task: Task, seed: int) -> Loaded:
    """0..255, as pictures are saved."""
    image = loaded["image"].as_tensor().clone()
    for channel in image:
        low, high = np.percentile(channel.numpy(), (1, 99))
        channel.sub_(float(low)).div_(max(float(high - low), 1e-6)).clamp_(0, 1).mul_(255).round_()
    return _with(loaded, image, loaded["label"].as_tensor())


def _inverted(loaded: Loaded, task: Task, seed: int) -> Loaded:
    """Bright is dark."""
    image = loaded["image"].as_tensor()
    low, high = (ends(image, (1, 2, 3), keepdim=True) for ends in (torch.amin, torch.amax))
    return _with(loaded, low + high - image, loaded["label"].as_tensor())


def _spacing(loaded: Loaded, task: Task, seed: int) -> Loaded:
    """A header with voxels twice as large."""
    made = _with(loaded, loaded["image"].as_tensor(), loaded["label"].as_tensor())
    for part in made.values():
        affine = np.asarray(part.meta[MetaKeys.ORIGINAL_AFFINE]).copy()
        affine[:3, :3] *= 2
        part.meta[MetaKeys.ORIGINAL_AFFINE] = torch.as_tensor(affine)
        part.affine = torch.as_tensor(affine)
    return made


def _upright(loaded: Loaded) -> int:
    """The array's axis that runs from foot to head, counted among x, y, z."""
    affine = np.asarray(loaded["image"].meta[MetaKeys.ORIGINAL_AFFINE], dtype=float)
    return int(np.flatnonzero(io_orientation(affine)[:, 0] == _UP)[0])


def _upside_down(loaded: Loaded, task: Task, seed: int) -> Loaded:
    """Head where the feet are, against the header."""
    axis = _upright(loaded) + 1
    return _with(loaded, loaded["image"].as_tensor().flip(axis), loaded["label"].as_tensor().flip(axis))


def _half(loaded: Loaded, task: Task, seed: int) -> Loaded:
    """The lower half of the stack alone."""
    axis = _upright(loaded) + 1
    kept = max(loaded["image"].shape[axis] // 2, 1)
    return _with(
        loaded, loaded["image"].as_tensor().narrow(axis, 0, kept), loaded["label"].as_tensor().narrow(axis, 0, kept)
    )


def _noise(loaded: Loaded, task: Task, seed: int) -> Loaded:
    """Nothing but noise of the scan's own mean and deviation."""
    image = loaded["image"].as_tensor()
    std, mean = torch.std_mean(image, (1, 2, 3), keepdim=True)
    drawn = torch.from_numpy(np.random.default_rng(seed).standard_normal(image.shape)).float()
    return _with(loaded, mean + std * drawn)


def _phantom(loaded: Loaded, task: Task, seed: int) -> Loaded:
    """A synthetic patient of the same channels."""
    model = load_task_table().one(_PHANTOMS.get(task.channels, "prostate"))
    phantom = make_phantom(model, seed=seed)
    image = MetaTensor(torch.as_tensor(phantom.image).float(), affine=torch.as_tensor(phantom.affine))
    image.meta |= {
        "filename_or_obj": "",
        MetaKeys.ORIGINAL_AFFINE: image.affine.clone(),
        MetaKeys.SPATIAL_SHAPE: np.asarray(image.shape[1:]),
    }
    return {"image": image}


WRONG: dict[str, Callable[[Loaded, Task, int], Loaded | None]] = {
    "scale_lost": _scale_lost,
    "bytes": _bytes,
    "inverted": _inverted,
    "spacing_x2": _spacing,
    "upside_down": _upside_down,
    "half": _half,
    "noise": _noise,
    "phantom": _phantom,
}
